package doctor

import (
	"bytes"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/slots/reload"
)

// A section is one of HAProxy's configuration (Configuration Manual, 2). Its lines begin
// with those of the defaults that hold for it.
type section struct {
	kind, name string
	line       int // of its first word, from 1
	lines      []directive
}

// A directive is one line of a section.
type directive struct {
	line  int
	words []string // at least one
}

// arg returns the word at i, "" if there are not so many.
func (d directive) arg(i int) string {
	if i < len(d.words) {
		return d.words[i]
	}
	return ""
}

// after returns the word after key, and whether key is there.
func (d directive) after(key string) (string, bool) {
	i := slices.Index(d.words, key)
	if i < 0 {
		return "", false
	}
	return d.arg(i + 1), true
}

// readSections cuts a configuration into its sections. A proxy has the defaults that it
// names, or the last ones before it; other defaults are only had by those who name them.
func readSections(text []byte) []section {
	var all []section
	var last []directive
	named := map[string][]directive{}
	end := func() {
		if len(all) == 0 {
			return
		}
		if s := all[len(all)-1]; s.kind == "defaults" {
			last = s.lines
			if s.name != "" {
				named[s.name] = s.lines
			}
		}
	}
	types := reload.SectionTypes()
	n := 0
	for raw := range bytes.Lines(text) {
		n++
		line, _, _ := strings.Cut(string(raw), "#")
		d := directive{line: n, words: strings.Fields(line)}
		if len(d.words) == 0 {
			continue
		}
		if !slices.Contains(types, d.words[0]) {
			if len(all) > 0 {
				s := &all[len(all)-1]
				s.lines = append(s.lines, d)
			}
			continue
		}
		end()
		s := section{kind: d.words[0], name: reload.SectionName(d.words), line: n}
		from, has := d.after("from")
		switch {
		case has:
			s.lines = slices.Clone(named[from])
		case slices.Contains([]string{"backend", "listen", "frontend"}, s.kind):
			s.lines = slices.Clone(last)
		}
		all = append(all, s)
	}
	return all
}

// last returns the last directive that begins with these words.
func (s section) last(words ...string) (directive, bool) {
	for _, d := range slices.Backward(s.lines) {
		if len(d.words) >= len(words) && slices.Equal(d.words[:len(words)], words) {
			return d, true
		}
	}
	return directive{}, false
}
