package top

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// frame is how many lines there are besides those of the table: two above, its head,
// and the last.
const frame = 4

// maxCell bounds a column that is not whole, in cells of the terminal, but for the last.
const maxCell = 40

// View implements [tea.Model].
func (m model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "slotsync top"
	return v
}

// lines is how many rows of the table fit.
func (m model) lines() int { return max(1, m.height-frame) }

// screen is every line, as many and as wide as fit.
func (m model) screen() []string {
	lines := []string{m.summary(), m.tabs()}
	if m.mode == helps {
		lines = append(lines, helpLines()...)
	} else {
		lines = append(lines, m.drawn()...)
	}
	body := max(0, m.height-1)
	lines = append(lines, make([]string, max(0, body-len(lines)))...)[:body]
	if m.height > 0 {
		lines = append(lines, m.bottom())
	}
	fits := lipgloss.NewStyle().MaxWidth(max(1, m.width))
	for i, line := range lines {
		lines[i] = fits.Render(line)
	}
	return lines
}

// summary says how everything is, or that the agent is gone.
func (m model) summary() string {
	if m.err != nil {
		text := "AGENT GONE: " + textfmt.OneLine(m.err.Error())
		if !m.seen.status.At.IsZero() {
			text += " (seen " + textfmt.Clock(m.seen.status.At, time.Now()) + ")"
		}
		return m.paint(text, severityBad)
	}
	s := m.seen.status
	if s.At.IsZero() {
		return "slotsync top: asking the agent"
	}
	synced, answering := 0, 0
	for _, in := range s.Instances {
		if in.InSync {
			synced++
		}
	}
	for _, src := range s.Sources {
		if src.State == "ok" || src.State == "none yet" {
			answering++
		}
	}
	level := severityFine
	if synced < len(s.Instances) || answering < len(s.Sources) || !s.Ready {
		level = severityOdd
	}
	odd := oddities(s)
	if odd != "" {
		level = severityOdd
	}
	return m.paint(fmt.Sprintf("slotsync %s  %d/%d instances in sync  %d/%d sources ok  %s%s  %s", textfmt.Clip(s.Version), synced, len(s.Instances),
		answering, len(s.Sources), textfmt.Count(len(s.Backends), "backend"), odd, textfmt.Clock(s.At, s.At)), level)
}

// oddities counts what is not as the sources say.
func oddities(s api.Status) string {
	held, kept, overflow, words := 0, 0, 0, ""
	for _, b := range s.Backends {
		overflow += len(b.Overflow)
		if b.Hold != nil {
			held++
		}
		for _, k := range b.Kept {
			kept += len(k.Endpoints)
		}
	}
	external := 0
	for _, in := range s.Instances {
		external += in.External
	}
	for _, odd := range []struct {
		n    int
		what string
	}{{held, "held"}, {kept, "kept"}, {overflow, "without a slot"}, {external, "taken out by somebody else"}, {len(s.Pauses), "paused"}, {len(s.Overrides), "overridden"}} {
		if odd.n > 0 {
			words += fmt.Sprintf("  %d %s", odd.n, odd.what)
		}
	}
	return words
}

func (m model) tabs() string {
	var words []string
	for i, name := range viewNames() {
		text := fmt.Sprintf("%d %s", i+1, name)
		if viewKind(i) == m.view {
			text = "[" + text + "]"
		}
		words = append(words, text)
	}
	if m.instance > 0 {
		words = append(words, "only "+textfmt.Clip(m.seen.status.Instances[m.instance-1].Name))
	}
	if m.filter != "" {
		words = append(words, "with "+textfmt.Clip(m.filter))
	}
	return strings.Join(words, "  ")
}

// drawn is the head of the table, and the rows around the cursor.
func (m model) drawn() []string {
	t := m.table()
	first := max(0, min(m.cursor-m.lines()/2, len(t.rows)-m.lines()))
	shownRows := t.rows[first:min(len(t.rows), first+m.lines())]
	cells := make([][]string, 0, len(shownRows)+1)
	head := []string{}
	for i, c := range t.columns {
		if m.sorted == i+1 {
			c.head += "*"
		}
		head = append(head, c.head)
	}
	cells = append(cells, head)
	for _, r := range shownRows {
		cells = append(cells, t.texts(r))
	}
	lines := t.aligned(cells)
	if len(shownRows) == 0 {
		return append(lines, "", " "+m.nothing())
	}
	for i, r := range shownRows {
		lines[i+1] = m.paint(lines[i+1], r.severity)
		if first+i == m.cursor {
			lines[i+1] = m.marked(lines[i+1])
		}
	}
	return lines
}

// marked shows that the cursor is on a line.
func (m model) marked(line string) string {
	if !m.colour {
		return ">" + strings.TrimPrefix(line, " ")
	}
	return lipgloss.NewStyle().Reverse(true).Render(line)
}

// texts are the cells of a row as people read them. Nothing in them is obeyed by a
// terminal.
func (t table) texts(r tableRow) []string {
	var all []string
	for i, text := range r.cells {
		if show := t.columns[i].show; show != nil {
			text = show(text)
		}
		all = append(all, textfmt.OneLine(text))
	}
	return all
}

// aligned gives every column the width that it needs, with a space before each line for
// the cursor.
func (t table) aligned(cells [][]string) []string {
	widths := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, text := range row {
			if !t.columns[i].whole && i < len(row)-1 {
				text = lipgloss.NewStyle().MaxWidth(maxCell).Render(text)
				row[i] = text
			}
			widths[i] = max(widths[i], lipgloss.Width(text))
		}
	}
	var lines []string
	for _, row := range cells {
		line := " "
		for i, text := range row {
			if i == len(row)-1 {
				line += text
				break
			}
			line += text + strings.Repeat(" ", widths[i]-lipgloss.Width(text)+1)
		}
		lines = append(lines, line)
	}
	return lines
}

// bottom is the last line: a question, what came of the last, or the keys.
func (m model) bottom() string {
	switch {
	case m.mode == filters:
		return "filter: " + m.inputText() + "  (esc for everything)"
	case m.mode == weighs:
		return m.act.String() + " (0 to 256, 20%, source): " + m.inputText()
	case m.mode == confirms:
		return m.paint(m.act.String()+"? y/n", severityOdd)
	case m.mode == helps:
		return "any key goes back"
	case m.note != "":
		return m.note
	}
	return m.keys()
}

// inputText is what is typed, with the cursor: "_" without colours.
func (m model) inputText() string {
	if m.colour {
		return m.input.View()
	}
	text, at := []rune(m.input.Value()), m.input.Position()
	return string(text[:at]) + "_" + string(text[at:])
}

// keys names the keys, as many as fit: first those by which the others are found.
func (m model) keys() string {
	line := "? help  q quit"
	for _, key := range []string{"esc everything", "1-5 view", "/ filter", "d drain", "m maint", "r ready", "w weight", "p pause", "A accept", "tab instance", "s sort"} {
		if key == "esc everything" && m.filter == "" {
			continue
		}
		if lipgloss.Width(line+"  "+key) > m.width {
			break
		}
		line += "  " + key
	}
	return line
}

func (m model) paint(text string, level severity) string {
	colours := map[severity]string{severityFine: "2", severityOdd: "3", severityBad: "1", severityIdle: "8"}
	if c, ok := colours[level]; ok && m.colour {
		return lipgloss.NewStyle().Foreground(lipgloss.Color(c)).Render(text)
	}
	return text
}
