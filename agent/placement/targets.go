package placement

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file makes of the targets of all instances those of one.

// Weights are the weights that slots have in the configuration, by number.
type Weights map[int]int

// addedSlot stands for servers that are added, where slots go by their number.
const addedSlot = -1

// TemplateWeights returns the weights that the views show.
func TemplateWeights(views [][]slots.Server) Weights {
	out := Weights{}
	for _, own := range views {
		for _, s := range own {
			out[s.Number] = max(out[s.Number], s.Initial)
		}
		if i := slices.IndexFunc(own, func(s slots.Server) bool { return !s.Dynamic }); i >= 0 {
			out[addedSlot] = max(out[addedSlot], own[i].Initial)
		}
	}
	return out
}

// Of returns the weight of a slot; that of a server that is added, if there is no such slot.
func (w Weights) Of(number int) int {
	if weight, ok := w[number]; ok {
		return weight
	}
	return w[addedSlot]
}

// elsewhere splits a target in two: its slot is left alone, and what it wants has no slot yet
// (a number below zero), so that one is found that the instance has free.
func elsewhere(t slots.Target) (left, moved slots.Target) {
	left = slots.Target{Number: t.Number, Leave: true}
	t.Number, t.Dynamic = -1-t.Number, false
	return left, t
}

// Around returns targets that leave the slots of u alone; what they were to hold goes
// elsewhere, unless it is there. A slot that is reserved for another instance's sake is free here
// once this one was searched.
func Around(targets []slots.Target, u Unmanaged, searched bool) []slots.Target {
	out := slices.Clone(targets)
	for i, t := range targets {
		if a, ok := u[t.Number]; !ok || a == t.Addr {
			out[i].Leave = t.Leave && !searched
			continue
		}
		left, moved := elsewhere(t)
		if out[i] = left; moved.Addr.IsValid() {
			out = append(out, moved)
		}
	}
	return out
}

// OnlyOperated returns targets that leave alone every slot of an instance but those of
// endpoints that operators asked something of, and those that they gave back: operated and
// started.
//
//	the slot                                   becomes
//	has an endpoint of either                  what is wanted of that endpoint
//	has an operated one a second time          free
//	is wanted for an operated one that the     that; where it serves another, that goes elsewhere
//	  instance lacks
//	is free, in maintenance                    free: what goes elsewhere may have it
//	  with what is wanted in another slot,     left alone
//	  which the instance lacks, or which has
//	  something else
//	any other                                  left alone
func OnlyOperated(targets []slots.Target, own []slots.Server, operated map[netip.AddrPort]bool, started map[netip.AddrPort]time.Time) []slots.Target {
	server := slots.FindServer(own)
	wanted, strays := map[netip.AddrPort]slots.Target{}, map[netip.AddrPort]bool{}
	for _, t := range targets {
		if operated[t.Addr] || !started[t.Addr].IsZero() {
			wanted[t.Addr] = t
		}
		s := server(t.Number)
		strays[t.Addr] = s == nil || s.Addr != t.Addr
	}
	at := map[netip.AddrPort]*slots.Server{} // where they are, best where they serve
	for i := range own {
		s := &own[i]
		if _, ok := wanted[s.Addr]; ok && (at[s.Addr] == nil || s.Class > at[s.Addr].Class) {
			at[s.Addr] = s
		}
	}
	out := slices.Clone(targets)
	for i, t := range targets {
		s := server(t.Number)
		idle := s == nil || s.Class == slots.Maint
		switch {
		case t.Leave:
		case s != nil && at[s.Addr] == s:
			out[i] = wanted[s.Addr]
			out[i].Number, out[i].Dynamic = t.Number, t.Dynamic
		case s != nil && operated[s.Addr]:
			out[i] = slots.Target{Number: t.Number, Dynamic: t.Dynamic}
		case operated[t.Addr] && at[t.Addr] == nil && idle:
		case operated[t.Addr] && at[t.Addr] == nil:
			left, moved := elsewhere(t)
			out[i] = left
			out = append(out, moved)
		case !t.Addr.IsValid() && idle && (s == nil || !strays[s.Addr]):
		default:
			out[i].Leave = true
		}
	}
	return out
}

// Emptied returns targets that have the same slots out of service.
func Emptied(targets []slots.Target) []slots.Target {
	out := make([]slots.Target, len(targets))
	for i, t := range targets {
		out[i] = slots.Target{Number: t.Number, Leave: t.Leave}
	}
	return out
}
