package demo

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// filmText reads a film as XML does, and returns its rows; it fails where something could run.
func filmText(t *testing.T, film []byte) (rows []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(film)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			if text, ok := token.(xml.CharData); ok && len(rows) > 0 {
				rows[len(rows)-1] += string(text)
			}
			continue
		}
		if !slices.Contains([]string{"svg", "title", "style", "rect", "line", "g", "text", "tspan"}, start.Name.Local) {
			t.Errorf("the picture has an element %s", start.Name.Local)
		}
		for _, a := range start.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") {
				t.Errorf("the picture has an attribute %s", a.Name.Local)
			}
		}
		if start.Name.Local == "text" {
			rows = append(rows, "")
		}
	}
}

func TestFilm(t *testing.T) {
	var out strings.Builder
	s := newScreen(&out, true)
	s.Record()
	s.film.began = demoStart
	s.film.say([]string{"", s.Style.bold("1. A < B & C"), s.Style.dim("two\nlines"), s.Style.dim(strings.Repeat("word ", 25))}, demoStart)
	s.film.show([]string{s.Style.green("A") + " 1"}, demoStart)
	s.film.show([]string{"too soon"}, demoStart.Add(filmPace/2))
	s.film.show([]string{"B"}, demoStart.Add(2*time.Second))
	film := s.film.svg(demoStart.Add(2 * time.Second))
	rows := filmText(t, film)
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], "\n")
	}
	want := []string{"1. A < B & C", "two", "lines", strings.Repeat("word ", 21), strings.Repeat("word ", 4), "A 1", "B"}
	for i := range want {
		if i >= len(rows) || strings.TrimSpace(rows[i]) != strings.TrimSpace(want[i]) {
			t.Fatal(cmp.Diff(want, rows))
		}
	}
	for _, part := range []string{
		`<tspan class="c1">1. A &lt; B &amp; C</tspan>`, `<tspan class="c32">A</tspan> 1`,
		fmt.Sprintf("@keyframes state{0%%{transform:translateY(0px)}20.00%%{transform:translateY(-%dpx)}to", stateRows*filmRow),
	} {
		if !strings.Contains(string(film), part) {
			t.Errorf("%s is not in\n%s", part, film)
		}
	}
	if s.Say(s.Style.green("ok")); out.String() != "ok\n" {
		t.Errorf("without colours it prints %q", out.String())
	}
}

// TestFilmOfTheDemo: what the README shows is of a demo that ended well.
func TestFilmOfTheDemo(t *testing.T) {
	film, err := os.ReadFile("../../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	if len(film) > 200_000 {
		t.Errorf("docs/demo.svg has %d bytes", len(film))
	}
	text := strings.Join(filmText(t, film), "\n")
	for _, want := range []string{"1. Two HAProxies", "9. All who left", " requests, 0 failed ("} {
		if !strings.Contains(text, want) {
			t.Errorf("docs/demo.svg does not show %q: slotsync demo --svg docs/demo.svg makes it", want)
		}
	}
	if strings.Contains(text, "FAILED") {
		t.Error("docs/demo.svg is of a demo that failed")
	}
}
