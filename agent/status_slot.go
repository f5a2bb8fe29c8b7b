package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file says how each slot is doing.

// serving is how many endpoints of b take traffic at the instance where the fewest do.
func (b *backend) serving() int {
	wanted := discovery.ByAddr(b.wanted())
	least := -1
	for _, in := range b.served {
		serves := map[netip.AddrPort]bool{}
		for _, s := range in.at(b.Name).Own {
			if _, listed := wanted[s.Addr]; listed && s.Class == slots.Ready && (s.Up || !s.Checked) {
				serves[s.Addr] = true
			}
		}
		if least < 0 || len(serves) < least {
			least = len(serves)
		}
	}
	return max(least, 0)
}

// withUnusable returns the table with the slots that no instance can use, since their
// address cannot be set, and which those are.
func (b *backend) withUnusable(table slots.Table, rows map[string]map[int]slots.Server) (slots.Table, map[int]bool) {
	known := make(map[int]bool, len(table))
	for _, s := range table {
		known[s.Number] = true
	}
	for _, own := range b.views() {
		for _, s := range own {
			known[s.Number] = true
		}
	}
	unusable := map[int]bool{}
	for _, row := range rows {
		for number := range row {
			if !known[number] && !unusable[number] {
				unusable[number] = true
				table = append(table[:len(table):len(table)], slots.Slot{Number: number})
			}
		}
	}
	if len(unusable) > 0 {
		slices.SortStableFunc(table, func(x, y slots.Slot) int { return cmp.Compare(x.Number, y.Number) })
	}
	return table, unusable
}

// rows returns the servers of every instance by slot.
func (b *backend) rows() map[string]map[int]slots.Server {
	out := map[string]map[int]slots.Server{}
	for _, in := range b.served {
		row := map[int]slots.Server{}
		for _, s := range in.at(b.Name).Own {
			row[s.Number] = s
		}
		out[in.Name] = row
	}
	return out
}

// slotStatus is one slot, which people call name.
func (b *backend) slotStatus(name string, slot slots.Slot, rows map[string]map[int]slots.Server, now time.Time) api.SlotStatus {
	s := api.SlotStatus{Name: name, State: "free", Since: slot.Freed, Instances: []api.InstanceSlot{}}
	if !slot.Free() {
		s.Endpoint, s.State, s.Title = slot.Endpoint.Addr.String(), slot.Endpoint.State.String(), slot.Endpoint.Name
		s.Since, s.From = time.Time{}, b.listedBy(slot.Endpoint.Addr)
	} else if addr, ok := b.unmanaged[slot.Number]; ok {
		s.Endpoint, s.State = addr.String(), api.HoldTakeover
	}
	held := b.heldWhy(slot)
	s.Override = held
	for _, in := range b.served {
		live, ok := rows[in.Name][slot.Number]
		number := slot.Number
		if !ok && !slot.Free() {
			if live, ok = in.standIn(b.Name, slot.Endpoint.Addr); ok {
				number = live.Number
			}
		}
		if !in.met {
			continue
		}
		row := in.slotStatus(b, number, live, ok, now)
		if ok && live.Name != s.Name {
			row.Name = live.Name
		}
		if held != "" && row.HeldBy == "" && b.overrides.Blocking(b.Name, slot.Endpoint.Addr) != nil {
			row.HeldBy, row.Reason = "operator", held
		}
		s.Instances = append(s.Instances, row)
	}
	return s
}

// heldWhy says what operators asked of the endpoint in a slot; "" for nothing.
func (b *backend) heldWhy(slot slots.Slot) string {
	var words []string
	for _, kind := range api.OverrideKinds {
		if o := b.overrides.Find(b.Name, slot.Endpoint.Addr, kind); !slot.Free() && o != nil {
			words = append(words, o.Words())
		}
	}
	return strings.Join(words, "; ")
}

func (in *instance) slotStatus(b *backend, number int, live slots.Server, exists bool, now time.Time) api.InstanceSlot {
	r := in.at(b.Name)
	s := api.InstanceSlot{Instance: in.Name, State: live.Class, Weight: live.Weight, AgentCheck: live.Agent, Sessions: live.Sessions, Lacking: !exists}
	if live.Addr.IsValid() {
		s.Address = live.Addr.String()
	}
	if live.Checked {
		s.Check = "down"
		if live.Up {
			s.Check = "up"
		}
	}
	if _, ok := r.Externals[number]; ok {
		s.HeldBy, s.Reason = "external", "taken out of service by somebody else"
	} else if _, ok := r.unmanaged[number]; ok {
		s.HeldBy, s.Reason = api.HoldTakeover, "no source has ever listed this address"
	}
	if until, ok := r.Conflicts[number]; ok && until.After(now) && s.HeldBy == "" {
		s.Reason, s.PausedUntil = "somebody else keeps changing it", &until
	}
	if refusal, ok := r.Refused[number]; ok {
		s.LastReply = refusal.Reply
	}
	return s
}
