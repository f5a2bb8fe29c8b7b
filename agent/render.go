package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/reload"
	"github.com/slotsync/slotsync/slots"
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
// that were added at run time, whose endpoints stay where they are.
func (b *backend) slotsToRender() int {
	n := b.templated()
	switch {
	case n == 0: // HAProxy does not have the backend yet
		n = grow(0, max(1, len(b.wanted())), b.MaxSlots)
	case len(b.surplus) > 0:
		n = grow(n, b.needed(), b.MaxSlots)
	}
	for _, s := range b.table {
		if k := numberOf(s.Name); !s.Free() && k <= b.MaxSlots {
			n = max(n, k)
		}
	}
	return n
}

// numberOf is the number at the end of a slot's name; 0 if there is none.
func numberOf(name string) int {
	n, err := strconv.Atoi(name[len(strings.TrimRight(name, "0123456789")):])
	if err != nil {
		return 0
	}
	return n
}

// data is what a template sees: the backends with as many slots as they should
// have, and every endpoint in the slot that it has or will get.
func (c *core) data(r *reloading) reload.Data {
	var d reload.Data
	for _, b := range c.backends {
		if !r.serves(c.of(b)) {
			continue
		}
		n, prefix := b.slotsToRender(), c.prefix(b)
		out := reload.Backend{Name: b.Name, Proxy: b.Proxy, Prefix: prefix, Slots: n}
		weights := slots.Scale(b.guard.Published())
		for _, s := range b.extended(prefix, n) {
			if e := s.Endpoint; !s.Free() {
				slot := s.Name
				if numberOf(slot) > n {
					slot = "" // it gets another one
				}
				out.Servers = append(out.Servers, reload.Server{Name: e.Name, Slot: slot, Addr: e.Addr, Weight: weights[e.Addr], State: stateWord(e.State)})
			}
		}
		d.Backends = append(d.Backends, out)
	}
	return d
}

// stateWord is what a state is called in a server-state file and in templates.
func stateWord(s discovery.State) string {
	switch s {
	case discovery.Ready:
		return slots.Ready.String()
	case discovery.Drain:
		return slots.Drain.String()
	case discovery.Down:
	}
	return slots.Maint.String()
}

// extended is the table as it will be with n slots.
func (b *backend) extended(prefix string, n int) slots.Table {
	t := slices.Clone(b.table)
	for i := range t {
		t[i].Dynamic = false
	}
	for k := 1; k <= n; k++ {
		name := fmt.Sprintf("%s%d", prefix, k)
		if !slices.ContainsFunc(t, func(s slots.Slot) bool { return s.Name == name }) {
			t = append(t, slots.Slot{Name: name})
		}
	}
	t, _ = t.Assign(b.wanted(), time.Time{})
	return t
}

// prefix is that of the slots of b, as configured or as found.
func (c *core) prefix(b *backend) string {
	if b.Prefix != "" {
		return b.Prefix
	}
	for _, in := range c.of(b) {
		if own := in.last.backends[b.Name].own; len(own) > 0 {
			return strings.TrimRight(own[0].Name, "0123456789")
		}
	}
	return b.Proxy
}

// templated is how many slots the configuration of b has.
func (b *backend) templated() int {
	n := 0
	for _, s := range b.table {
		if !s.Dynamic {
			n++
		}
	}
	return n
}

// needed is how many endpoints of b should have a slot.
func (b *backend) needed() int {
	n := len(b.surplus)
	for _, s := range b.table {
		if !s.Free() {
			n++
		}
	}
	return n
}
