package agent

import (
	"cmp"
	"slices"

	"github.com/slotsync/slotsync/agent/reloadpolicy"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/reload"
)

// templated is how many of an instance's slots are in its configuration.
func templated(own []slots.Server) int {
	n := 0
	for _, s := range own {
		if !s.Dynamic {
			n++
		}
	}
	return n
}

// slotsToRender is how many slots the configuration of b should have: also those
// that were added at run time, whose endpoints stay where they are, and those that
// cannot be used.
func (b *backend) slotsToRender(r template) int {
	n := max(b.placement.Templated(), r.most)
	switch {
	case n == 0: // HAProxy does not have the backend yet
		n = reloadpolicy.TargetSize(0, max(1, len(b.wanted())), b.MaxSlots)
	case b.placement.Short():
		n = reloadpolicy.TargetSize(n, b.placement.Needed(), b.MaxSlots)
	}
	for _, s := range b.placement.Table() {
		if k := r.place(s.Number); !s.Free() && k <= b.MaxSlots {
			n = max(n, k)
		}
	}
	return n
}

// A template is the range of slots that the configuration has, which is grown upwards.
type template struct {
	slots.Range
	least int // slots that an instance has
	most  int // and that one has, or had
}

// place is which slot of the template has the number, from 1 on; 0 if it is below it.
func (t template) place(number int) int { return max(0, number-t.First+1) }

// data is what a template sees: the backends with as many slots as they should
// have, and every endpoint in the slot that it has or will get.
func (c *core) data(r *reloading) reload.Data {
	var d reload.Data
	for _, b := range c.backends {
		if !r.serves(b.served) {
			continue
		}
		tmpl := c.template(b, r.Instances)
		n := b.slotsToRender(tmpl)
		out := reload.Backend{Name: b.Name, Proxy: b.Proxy, Prefix: tmpl.Prefix, Offset: tmpl.First - 1, Slots: n}
		weights := slots.Scale(b.guard.Published())
		for _, s := range b.placement.Extended(tmpl.First, n, b.wanted()) {
			if e := s.Endpoint; !s.Free() {
				slot := tmpl.Name(s.Number)
				if k := tmpl.place(s.Number); k < 1 || k > n {
					slot = "" // it gets another one
				}
				out.Servers = append(out.Servers, reload.Server{Name: e.Name, Slot: slot, Addr: e.Addr, Weight: weights[e.Addr], State: slots.ClassOf(e.State).String()})
			}
		}
		d.Backends = append(d.Backends, out)
	}
	return d
}

// template is what the first of these instances that has slots of b shows of it, and how many
// they have, or had when they showed some last.
func (c *core) template(b *backend, instances []string) template {
	var counts []int
	var ranges []slots.Range
	most := 0
	for _, in := range c.instances {
		if !slices.Contains(instances, in.Name) {
			continue
		}
		most = max(most, in.had[b.Name]) // also where it is not filled any more: the file is the same
		if !slices.Contains(b.served, in) || in.at(b.Name).Own == nil {
			continue
		}
		at := in.at(b.Name)
		counts = append(counts, templated(at.Own))
		if r, _ := slots.RangeOf(at.Own, at.Prefix); r.Last >= r.First {
			ranges = append(ranges, r)
		}
	}
	ranges = append(ranges, slots.Range{Prefix: cmp.Or(b.Prefix, b.prefix()), First: 1})
	if len(counts) == 0 {
		counts = append(counts, b.placement.Templated())
	}
	return template{ranges[0], slices.Min(counts), most}
}
