package reload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// A Section is a part of HAProxy's configuration: the line that opens it and what
// follows, up to the next such line (HAProxy configuration manual, section 2.1), but
// for blank lines and comments right before that: they are nobody's. Lines like ".if" and
// ".endif" belong to a section only where it has all of the block.
type Section struct {
	slots.ConfigSection

	from, to int    // its bytes
	unclear  string // why it cannot be told from what stands around it; "" if it can
}

// sectionOf is a section of which no more is known.
func sectionOf(typ, name string) Section {
	return Section{ConfigSection: slots.ConfigSection{Type: typ, Name: name}}
}

// String returns type and name.
func (s Section) String() string { return strings.TrimSpace(s.Type + " " + s.Name) }

// SectionTypes returns the words that open a section, in any version of HAProxy, sorted.
func SectionTypes() []string {
	return []string{
		"acme", "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "healthcheck", "http-errors", "listen",
		"log-forward", "log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist",
	}
}

// SectionName returns the name of the section that a line opens, by its words: the one after
// the type; "defaults from other" has none.
func SectionName(words []string) string {
	if len(words) < 2 || strings.HasPrefix(words[1], "#") || words[1] == "from" && words[0] == "defaults" {
		return ""
	}
	return strings.Trim(words[1], `"'`)
}

func findSection(text []byte, typ, name string) (Section, error) {
	var found []Section
	var lines []string
	for _, s := range sections(text) {
		if s.Type == typ && s.Name == name {
			found = append(found, s)
			lines = append(lines, fmt.Sprint(s.Line))
		}
	}
	what := printable(sectionOf(typ, name).String())
	switch len(found) {
	case 0:
		return Section{}, fmt.Errorf("%w: %s", slots.ErrNoSection, what)
	case 1:
		if found[0].unclear != "" {
			return Section{}, fmt.Errorf("%w: %s cannot be told from what stands around it: %s; edit it by hand", slots.ErrBadSection, what, found[0].unclear)
		}
		return found[0], nil
	}
	return Section{}, fmt.Errorf("%w: %s is there %d times, at lines %s: only one of a kind can be told apart",
		slots.ErrBadSection, what, len(found), strings.Join(lines, ", "))
}

// setSection returns text with the section of that type and name replaced by
// body, or with body at the end if there is none. No other byte differs, so that
// adding and deleting leave what was. Comments that body has around the section are not
// repeated where they stand already, so that the same once more changes nothing.
func setSection(text, body []byte, typ, name string) ([]byte, error) {
	body, err := oneSection(body, typ, name)
	if err != nil {
		return nil, err
	}
	s, err := findSection(text, typ, name)
	switch {
	case err == nil:
		own := sections(body)[0]
		before := withoutLines(text[:s.from], body[:own.from])
		return slices.Concat(before, body, bytes.TrimPrefix(text[s.to:], body[own.to:])), nil
	case !errors.Is(err, slots.ErrNoSection):
		return nil, err
	case outline(text).fault != "":
		return nil, fmt.Errorf("%w: nothing can be added to a file in which %s", slots.ErrBadSection, outline(text).fault)
	case len(text) > 0 && text[len(text)-1] != '\n':
		return slices.Concat(text, []byte("\n"), body), nil
	}
	return slices.Concat(text, body), nil
}

func withoutLines(text, lines []byte) []byte {
	rest := bytes.TrimSuffix(text, lines)
	if len(rest) > 0 && rest[len(rest)-1] != '\n' {
		return text
	}
	return rest
}

// deleteSection returns text without the section. No other byte differs.
func deleteSection(text []byte, typ, name string) ([]byte, error) {
	s, err := findSection(text, typ, name)
	if err != nil {
		return nil, err
	}
	return slices.Concat(text[:s.from], text[s.to:]), nil
}

// oneSection returns body as it goes into a file, if it is that section and
// nothing else.
func oneSection(body []byte, typ, name string) ([]byte, error) {
	want := sectionOf(typ, name)
	if !slices.Contains(SectionTypes(), typ) {
		return nil, fmt.Errorf("%w: HAProxy has no sections of type %q; there are %s", slots.ErrBadSection, printable(typ), strings.Join(SectionTypes(), ", "))
	}
	if bytes.IndexByte(body, 0) >= 0 {
		return nil, fmt.Errorf("%w: it has a NUL byte", slots.ErrBadSection)
	}
	all := sections(body)
	if len(all) != 1 || all[0].Type != typ || all[0].Name != name {
		return nil, fmt.Errorf("%w: it has to be one whole section that begins with %q, and it has %s", slots.ErrBadSection, printable(want.String()), listed(all))
	}
	if all[0].unclear != "" {
		return nil, fmt.Errorf("%w: %s", slots.ErrBadSection, all[0].unclear)
	}
	if before := bytes.TrimSpace(body[:all[0].from]); len(before) > 0 && !commentsOnly(before) {
		return nil, fmt.Errorf("%w: something stands before its first line", slots.ErrBadSection)
	}
	return withoutBlankEnd(body), nil
}

// withoutBlankEnd is text up to the end of its last line that is not blank.
func withoutBlankEnd(text []byte) []byte {
	last := len(bytes.TrimRight(text, " \t\r\n"))
	if end := bytes.IndexByte(text[last:], '\n'); end >= 0 {
		return text[:last+end+1]
	}
	return append(slices.Clone(text), '\n')
}

func commentsOnly(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

func listed(all []Section) string {
	if len(all) == 0 {
		return "none"
	}
	var words []string
	for _, s := range all[:min(len(all), 5)] {
		words = append(words, printable(s.String()))
	}
	return strings.Join(words, ", ")
}
