package agent

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/slotsync/slotsync/slots"
)

// This file is about what slots are called.

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
