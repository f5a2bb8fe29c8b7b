package demo

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// What a film looks like: rows of text that stay, the last at the bottom, and below them the state.
const (
	filmColumns   = 104
	filmRows      = 21
	filmRow       = 18                     // pixels
	filmColumn    = 8                      // pixels
	filmPace      = 300 * time.Millisecond // between two states
	filmLastFrame = 8 * time.Second        // before it starts again
)

// A film is what a screen has shown, with the times. It is kept by the screen, under its lock.
type film struct {
	began  time.Time
	said   []string // in rows
	shown  []string // states, each of stateRows rows
	scroll counts   // to how many rows are said
	state  counts   // to how many states are shown
}

// A count is a number from some time on.
type count struct {
	at time.Duration
	n  int
}

type counts []count

// stateRows is more rows than any state has.
const stateRows = 4

func (f *film) say(lines []string, now time.Time) {
	for _, text := range lines {
		f.said = append(f.said, wrap(text)...)
	}
	f.scroll = append(f.scroll, count{now.Sub(f.began), len(f.said)})
}

func (f *film) show(state []string, now time.Time) {
	at := now.Sub(f.began)
	if n := len(f.state); n > 0 && at-f.state[n-1].at < filmPace {
		return
	}
	f.shown = append(f.shown, append(state[:len(state):len(state)], make([]string, max(0, stateRows-len(state)))...)[:stateRows]...)
	f.state = append(f.state, count{at, len(f.shown) / stateRows})
}

// svg returns the film as one picture without a script. Where nothing is to move, or can, it is
// the end that is seen.
func (f *film) svg(now time.Time) []byte {
	length := now.Sub(f.began) + filmLastFrame
	var b strings.Builder
	width, said, state := (filmColumns+4)*filmColumn, filmRows*filmRow, stateRows*filmRow
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" xml:space="preserve">
<title>slotsync demo: two HAProxies follow DNS, through an outage, a kill, a reload and more servers than slots; no request fails</title>
<style>
text{font:13px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d1d7e0;white-space:pre}
.c1{font-weight:bold;fill:#fff}.c2{fill:#9198a1}.c31{fill:#ff7b72}.c32{fill:#56d364}.c33{fill:#e3b341}
`, width, said+state+3*filmRow)
	f.scroll.animate(&b, "said", length, func(n int) int { return (filmRows - n) * filmRow })
	f.state.animate(&b, "state", length, func(n int) int { return -max(0, n-1) * state })
	fmt.Fprintf(&b, "@media (prefers-reduced-motion:reduce){#said,#state{animation:none}}\n</style>\n<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#0d1117\"/>\n")
	column(&b, "said", filmRow, width, said, f.said)
	fmt.Fprintf(&b, "<line x1=\"16\" x2=\"%d\" y1=\"%d\" y2=\"%[2]d\" stroke=\"#3d444d\"/>\n", width-16, said+filmRow+filmRow/2)
	column(&b, "state", said+2*filmRow, width, state, f.shown)
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// animate writes the counts as keyframes of what has this name, in pixels, ending as it stays.
func (s counts) animate(b *strings.Builder, name string, length time.Duration, pixels func(int) int) {
	fmt.Fprintf(b, "@keyframes %s{", name)
	last := pixels(0)
	fmt.Fprintf(b, "0%%{transform:translateY(%dpx)}", last)
	for _, step := range s {
		if y := pixels(step.n); y != last {
			last = y
			fmt.Fprintf(b, "%.2f%%{transform:translateY(%dpx)}", 100*float64(step.at)/float64(length), y)
		}
	}
	fmt.Fprintf(b, "to{transform:translateY(%dpx)}}\n#%s{transform:translateY(%[1]dpx);animation:%[2]s %.1fs step-end infinite}\n", last, name, length.Seconds())
}

// column writes rows, of which a window is seen.
func column(b *strings.Builder, name string, y, width, height int, rows []string) {
	fmt.Fprintf(b, "<svg y=\"%d\" width=\"%d\" height=\"%d\"><g id=\"%s\">\n", y, width, height, name)
	for i, row := range rows {
		if row != "" {
			fmt.Fprintf(b, "<text x=\"16\" y=\"%d\">%s</text>\n", i*filmRow+13, coloured(row))
		}
	}
	b.WriteString("</g></svg>\n")
}

var colourCode = regexp.MustCompile("\x1b\\[(\\d+)m")

func coloured(row string) string {
	row = strings.ReplaceAll(html.EscapeString(row), textfmt.Plain, "</tspan>")
	return colourCode.ReplaceAllString(row, `<tspan class="c$1">`)
}

func plain(text string) string { return colourCode.ReplaceAllString(text, "") }

// wrap breaks text, between words, into rows of the film. Colours go on in the next row.
func wrap(text string) (rows []string) {
	open := ""
	end := func(row string) {
		if open != "" {
			row += textfmt.Plain
		}
		rows = append(rows, row)
	}
	for line := range strings.SplitSeq(text, "\n") {
		row := open
		for i, word := range strings.Split(line, " ") {
			switch {
			case i == 0:
				row += word
			case utf8.RuneCountInString(plain(row+" "+word)) <= filmColumns:
				row += " " + word
			default:
				end(row)
				row = "      " + open + word
			}
			if codes := colourCode.FindAllString(word, -1); len(codes) > 0 {
				open = strings.TrimPrefix(codes[len(codes)-1], textfmt.Plain)
			}
		}
		end(row)
	}
	return rows
}
