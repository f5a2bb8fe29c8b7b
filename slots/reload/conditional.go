package reload

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// sections lists the sections of a configuration, or of a template of one, in
// their order.
func sections(text []byte) []Section { return outline(text).sections }

// An outlined text is a configuration whose lines are attributed to sections.
//
// Which section a line belongs to may depend on conditional blocks (HAProxy
// configuration manual, 2.4, ".if"):
//
//	backend web
//	  server a 10.0.0.1:80      web's
//	.if defined(TWO)            nobody's, since another section opens in it
//	backend two
//	  server b 10.0.0.2:80      two's
//	.endif                      nobody's
//	  server c 10.0.0.3:80      two's or web's: neither can be told apart
type outlined struct {
	sections []Section
	fault    string // what is wrong with the blocks of the whole; "" if nothing is

	end    []int  // of each section: the end of the last line that is its own
	depth  []int  // of each section: how many blocks it opens in
	inside []int  // of each section: how many blocks its last line is in, besides those
	open   []bool // of each section: its text may still go on to the end of its blocks
	now    []int  // the sections that the next line may belong to
	blocks []conditional
}

// A conditional is a block from ".if" on.
type conditional struct {
	line         int
	entry, leave []int // the sections before it, and after its branches so far
	otherwise    bool  // it has an ".else"
}

func outline(text []byte) *outlined {
	o := &outlined{}
	types := SectionTypes()
	n, at := 0, 0
	for raw := range bytes.Lines(text) {
		n++
		words := strings.Fields(string(raw[:min(len(raw), 4096)]))
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case slices.Contains(types, words[0]):
			o.header(words, n, at, len(raw))
		case strings.HasPrefix(words[0], "."):
			o.directive(words[0], n, at+len(raw))
		default:
			o.content(n, at+len(raw))
		}
		at += len(raw)
	}
	o.finish()
	return o
}

func (o *outlined) header(words []string, line, at, size int) {
	o.stopAll()
	o.sections = append(o.sections, Section{ConfigSection: slots.ConfigSection{Type: words[0], Name: SectionName(words), Line: line}, from: at})
	o.end = append(o.end, at+size)
	o.depth = append(o.depth, len(o.blocks))
	o.inside = append(o.inside, 0)
	o.open = append(o.open, true)
	o.now = []int{len(o.sections) - 1}
}

// stopAll ends the text of every section that is still open.
func (o *outlined) stopAll() {
	for s, open := range o.open {
		if open && o.inside[s] > 0 {
			o.confuse(s, fmt.Sprintf("the block from line %d on has some of its lines, and another section", o.blocks[o.depth[s]].line))
		}
		o.open[s] = false
	}
}

func (o *outlined) confuse(s int, why string) {
	if o.sections[s].unclear == "" {
		o.sections[s].unclear = why
	}
}

// content is a line that is some section's.
func (o *outlined) content(line, end int) {
	for _, s := range o.now {
		switch {
		case len(o.now) > 1:
			o.confuse(s, fmt.Sprintf("line %d is its own or another section's, as a .if decides", line))
		case !o.open[s]:
			o.confuse(s, fmt.Sprintf("line %d is its own, and stands apart from it behind a .if", line))
		default:
			o.end[s], o.inside[s] = end, len(o.blocks)-o.depth[s]
		}
	}
}

// directive follows the blocks; other directives, as ".notice", are nobody's.
func (o *outlined) directive(word string, line, end int) {
	if word == ".if" {
		o.blocks = append(o.blocks, conditional{line: line, entry: o.now})
		return
	}
	if word != ".elif" && word != ".else" && word != ".endif" {
		return
	}
	if len(o.blocks) == 0 {
		o.fail("the %s at line %d has no .if", word, line)
		return
	}
	b := &o.blocks[len(o.blocks)-1]
	o.leave(len(o.blocks)-1, word == ".endif", end)
	b.leave = union(b.leave, o.now)
	switch word {
	case ".endif":
		if o.now = b.leave; !b.otherwise {
			o.now = union(b.leave, b.entry)
		}
		o.blocks = o.blocks[:len(o.blocks)-1]
		return
	case ".else":
		b.otherwise = true
	}
	o.now = b.entry
}

// leave ends the sections that were opened in the block of that depth, and closes
// the block in those that have all of it.
func (o *outlined) leave(depth int, closes bool, end int) {
	for s, open := range o.open {
		switch {
		case !open:
		case o.depth[s] > depth:
			if o.inside[s] == 0 {
				o.open[s] = false
			}
		case closes && o.depth[s]+o.inside[s] > depth:
			o.end[s], o.inside[s] = end, depth-o.depth[s]
		}
	}
}

func (o *outlined) fail(format string, args ...any) {
	if o.fault == "" {
		o.fault = fmt.Sprintf(format, args...)
	}
}

// finish says where each section ends.
func (o *outlined) finish() {
	o.stopAll()
	if len(o.blocks) > 0 {
		o.fail("the .if at line %d has no .endif", o.blocks[len(o.blocks)-1].line)
	}
	for s := range o.sections {
		if o.fault != "" {
			o.sections[s].unclear = o.fault
		}
		o.sections[s].to = o.end[s]
		if o.sections[s].unclear != "" {
			o.sections[s].to = o.sections[s].from
		}
	}
}

func union(a, b []int) []int {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
