package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file is about the numbers of slots: those that are gone, and what they are called.

const (
	// vanishedFor is how long a slot that is gone is remembered, maxVanished how many.
	vanishedFor = 24 * time.Hour
	maxVanished = 10_000
	// addedSlot stands for servers that are added, where slots go by their number.
	addedSlot = -1
)

// A vanished slot is one that no instance has any more: its endpoint gets it back if it
// has none when the slot is there again.
type vanished struct {
	Addr netip.AddrPort `json:"addr"`
	At   time.Time      `json:"at"`
}

// places are the slots that endpoints have.
func (b *backend) places() map[netip.AddrPort]int {
	out := make(map[netip.AddrPort]int, len(b.table))
	for _, s := range b.table {
		if !s.Free() {
			out[s.Endpoint.Addr] = s.Number
		}
	}
	return out
}

// vanish remembers which of the slots that endpoints had before are gone.
func (b *backend) vanish(before map[netip.AddrPort]int, now time.Time) {
	there := make(map[int]bool, len(b.table))
	for _, s := range b.table {
		there[s.Number] = true
	}
	for a, number := range before {
		if !there[number] && len(b.vanished) < maxVanished {
			b.vanished[number] = vanished{a, now}
		}
	}
}

// recall tells free slots that are there again whose they were, and forgets what is too
// long ago.
func (b *backend) recall(now time.Time) {
	if len(b.vanished) == 0 {
		return
	}
	maps.DeleteFunc(b.vanished, func(_ int, v vanished) bool { return now.Sub(v.At) >= vanishedFor })
	for i, s := range b.table {
		if v, ok := b.vanished[s.Number]; ok {
			if s.Free() {
				b.table[i].Before = v.Addr
			}
			delete(b.vanished, s.Number)
		}
	}
}

// slotName is what people call a slot of b: its name at the first instance that has it,
// or would have at the first that has any.
func (c *core) slotName(b *backend, number int) string {
	instances := c.of(b)
	for _, in := range instances {
		if name := in.slotName(b.Name, number); name != "" {
			return name
		}
	}
	return c.prefix(b) + strconv.Itoa(number)
}

// slotName is the name of a slot at in; "" if it has none such.
func (in *instance) slotName(backend string, number int) string {
	for _, s := range in.at(backend).Own {
		if s.Number == number {
			return s.Name
		}
	}
	return ""
}

// slotNames is [core.slotName] for many slots.
func (c *core) slotNames(b *backend) func(number int) string {
	names := map[int]string{}
	for _, in := range slices.Backward(c.of(b)) {
		for _, s := range in.at(b.Name).Own {
			names[s.Number] = s.Name
		}
	}
	prefix := c.prefix(b)
	return func(number int) string { return cmp.Or(names[number], prefix+strconv.Itoa(number)) }
}

// numberOf returns the number of the slot that any instance calls by this name.
func (c *core) numberOf(b *backend, name string) (int, bool) {
	for _, in := range c.of(b) {
		for _, s := range in.at(b.Name).Own {
			if s.Name == name {
				return s.Number, true
			}
		}
	}
	return slots.Number(name, c.prefix(b))
}
