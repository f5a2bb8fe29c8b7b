package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
)

// slotsARow is how many slots stand beside each other in a map.
const slotsARow = 40

// How a cell is coloured: as HAProxy's statistics page colours a server.
const (
	classUp      = "up"
	classNoCheck = "nocheck"
	classDrain   = "drain"
	classMaint   = "maint"
	classDown    = "down"
	classDiffers = "differs"
	classFree    = "free"
	classLacking = "lacking"
	classAway    = "away"
)

// A slotMap is some slots of a backend: a row for each instance, a cell for each slot.
type slotMap struct {
	Caption string
	Heads   []headView
	Rows    []mapRow
}

type headView struct {
	Label, Slot, Title string
	Link               bool // to its row in the table below
}

type mapRow struct {
	Instance string
	Cells    []cellView
}

// A cellView is one slot at one instance.
type cellView struct {
	Class, Letter, Words, Title string
}

// A run is slots beside each other that look the same, in the small map.
type run struct {
	Class string
	X, N  int
}

// legend explains the letters.
func legend() []cellView {
	return []cellView{
		{Class: classUp, Letter: "R", Words: "ready, check passes"}, {Class: classNoCheck, Letter: "R", Words: "ready, not checked"},
		{Class: classDown, Letter: "!", Words: "ready, check fails"}, {Class: classDrain, Letter: "D", Words: "drain"},
		{Class: classMaint, Letter: "M", Words: "maint"}, {Class: classDiffers, Letter: "≠", Words: "another address than the table's"},
		{Class: classFree, Letter: "F", Words: "free"}, {Class: classLacking, Letter: "·", Words: "no such slot"},
		{Class: classUp + " held", Letter: "R", Words: "underlined: set by somebody"},
		{Class: classAway, Letter: "R", Words: "grey: as it was when its HAProxy last answered"},
	}
}

// cellOf says how a slot looks at an instance.
func cellOf(s *api.SlotStatus, in *api.InstanceSlot) cellView {
	c := cellView{Class: classUp, Letter: "R"}
	maint := in.State.String() == api.StateMaint
	switch {
	case in.Lacking:
		c.Class, c.Letter = classLacking, "·"
	case maint && s.Endpoint == "":
		c.Class, c.Letter = classFree, "F"
	case maint:
		c.Class, c.Letter = classMaint, "M"
	case in.Address != s.Endpoint:
		c.Class, c.Letter = classDiffers, "≠"
	case in.State.String() == api.StateDrain:
		c.Class, c.Letter = classDrain, "D"
	case in.Check == "down":
		c.Class, c.Letter = classDown, "!"
	case in.Check == "":
		c.Class = classNoCheck
	}
	if in.HeldBy != "" {
		c.Class += " held"
	}
	return c
}

// downInstances are the names of the instances that do not answer now: what they have
// shown is from before.
type downInstances []string

// cell is how a slot looks at an instance, and at one that is away looked.
func (a downInstances) cell(s *api.SlotStatus, in *api.InstanceSlot) cellView {
	c := cellOf(s, in)
	c.Words = liveWords(s, in)
	if !slices.Contains(a, in.Instance) {
		return c
	}
	c.Class = classAway
	c.Words = "does not answer; last seen: " + c.Words
	return c
}

// worst is how a slot looks where it looks worst.
func worst(s *api.SlotStatus) string {
	order := []string{classDown, classDiffers, classMaint, classDrain, classUp, classNoCheck, classFree, classLacking}
	at := len(order) - 1
	for i := range s.Instances {
		class, _, _ := strings.Cut(cellOf(s, &s.Instances[i]).Class, " ")
		at = min(at, slices.Index(order, class))
	}
	return order[at]
}

// bar is the map of a backend in one line.
func bar(b *api.BackendStatus) []run {
	var runs []run
	for i := range b.Slots {
		class := worst(&b.Slots[i])
		if n := len(runs) - 1; n >= 0 && runs[n].Class == class {
			runs[n].N++
			continue
		}
		runs = append(runs, run{Class: class, X: i, N: 1})
	}
	return runs
}

func slotMaps(b *api.BackendStatus, away downInstances) []slotMap {
	var out []slotMap
	for some := range slices.Chunk(b.Slots, slotsARow) {
		m := slotMap{Caption: fmt.Sprintf("Slots %s to %s", some[0].Name, some[len(some)-1].Name)}
		rows := map[string]int{}
		for i := range some {
			m.add(rows, &some[i], i, away)
		}
		out = append(out, m)
	}
	return out
}

// add puts the slot in column i. rows says where the row of an instance is.
func (m *slotMap) add(rows map[string]int, s *api.SlotStatus, i int, away downInstances) {
	title := strings.TrimSpace(s.Name + ": " + cmp.Or(s.Endpoint, "free") + " " + s.Title)
	m.Heads = append(m.Heads, headView{Label: number(s.Name), Slot: s.Name, Title: title, Link: worthARow(s)})
	for j := range s.Instances {
		in := &s.Instances[j]
		at, ok := rows[in.Instance]
		if !ok {
			at = len(m.Rows)
			rows[in.Instance] = at
			m.Rows = append(m.Rows, mapRow{Instance: in.Instance})
		}
		row := &m.Rows[at]
		for len(row.Cells) < i {
			row.Cells = append(row.Cells, unknownCell())
		}
		c := away.cell(s, in)
		c.Title = title + ", " + in.Instance + ": " + c.Words
		row.Cells = append(row.Cells, c)
	}
	for j := range m.Rows {
		for len(m.Rows[j].Cells) <= i {
			m.Rows[j].Cells = append(m.Rows[j].Cells, unknownCell())
		}
	}
}

// unknownCell is where an instance has shown nothing yet.
func unknownCell() cellView {
	return cellView{Class: classLacking, Letter: "·", Words: "not known", Title: "not known"}
}

// number is what tells a slot from the others of its prefix.
func number(slot string) string {
	prefix := strings.TrimRight(slot, "0123456789")
	if prefix == slot {
		return slot
	}
	return slot[len(prefix):]
}
