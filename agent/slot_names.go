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
func (b *backend) slotName(number int) string {
	instances := b.served
	for _, in := range instances {
		if name := in.slotName(b.Name, number); name != "" {
			return name
		}
	}
	return b.prefix() + strconv.Itoa(number)
}

// slotNames is [backend.slotName] for many slots.
func (b *backend) slotNames() func(number int) string {
	names := map[int]string{}
	for _, in := range slices.Backward(b.served) {
		for _, s := range in.at(b.Name).Own {
			names[s.Number] = s.Name
		}
	}
	prefix := b.prefix()
	return func(number int) string { return cmp.Or(names[number], prefix+strconv.Itoa(number)) }
}

// numberOf returns the number of the slot that any instance calls by this name.
func (b *backend) numberOf(name string) (int, bool) {
	for _, in := range b.served {
		for _, s := range in.at(b.Name).Own {
			if s.Name == name {
				return s.Number, true
			}
		}
	}
	return slots.Number(name, b.prefix())
}

// prefix is that of the slots of b, as configured or as found.
func (b *backend) prefix() string {
	for _, in := range b.served {
		if prefix := in.at(b.Name).Prefix; prefix != "" {
			return prefix
		}
	}
	return cmp.Or(b.Prefix, b.Proxy)
}
