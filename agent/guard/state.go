package guard

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A State is what a guard must not forget over a restart. Durations are how long
// something has lasted: time in which nobody looked does not count.
type State struct {
	Published []discovery.Endpoint
	Past      []PastSet
	Hold      *HoldState
	// Unhealthy is how long what served last has gone on although all that is
	// registered is unhealthy; 0: it is not.
	Unhealthy time.Duration
	Turnover  *TurnoverState
}

// A HoldState is a hold: how long it has lasted for the endpoint that is missing
// longest, how often that was confirmed, and the same of each.
type HoldState struct {
	Kind      string         `json:"kind"`
	Elapsed   time.Duration  `json:"elapsed"`
	Confirmed int            `json:"confirmed"`
	Missing   []MissingState `json:"missing,omitempty"`
}

// A MissingState is one endpoint that is held.
type MissingState struct {
	Addr        netip.AddrPort `json:"addr"`
	Elapsed     time.Duration  `json:"elapsed"`
	Confirmed   int            `json:"confirmed"`
	ConfirmedAt time.Duration  `json:"confirmed_at,omitempty"` // what had elapsed then
}

// A TurnoverState is a set that is being replaced, and for how long.
type TurnoverState struct {
	Elapsed time.Duration        `json:"elapsed"`
	Old     []discovery.Endpoint `json:"old"`
}

// State returns what is to be kept.
func (g *Guard) State(now time.Time) State {
	s := State{Published: g.published, Past: slices.Clone(g.past), Hold: g.holdState(now)}
	if g.unhealthy != nil {
		s.Unhealthy = now.Sub(g.unhealthy.since)
	}
	if g.turnover != nil {
		s.Turnover = &TurnoverState{now.Sub(g.turnover.since), g.turnover.old}
	}
	return s
}

func (g *Guard) holdState(now time.Time) *HoldState {
	h := &HoldState{Kind: Removal}
	add := func(list map[netip.AddrPort]missing, at func(missing) time.Duration) {
		for a, m := range list {
			h.Missing = append(h.Missing, MissingState{a, at(m), m.confirmed, m.confirmedAt})
			h.Elapsed, h.Confirmed = max(h.Elapsed, at(m)), max(h.Confirmed, m.confirmed)
		}
	}
	if g.hold != nil {
		h.Kind = g.hold.kind
		add(g.hold.missing, func(m missing) time.Duration { return m.elapsed(now) })
	}
	add(g.carried, func(m missing) time.Duration { return m.counted })
	if len(h.Missing) == 0 {
		return nil
	}
	slices.SortFunc(h.Missing, func(x, y MissingState) int { return x.Addr.Compare(y.Addr) })
	return h
}

// Restore takes what State returned in another process. A hold goes on where it was
// when its endpoints turn out to be missing still. Without the past sets, what was
// published stands for them.
func (g *Guard) Restore(s State, now time.Time) {
	g.published, g.past = s.Published, s.Past
	if len(g.past) == 0 && len(s.Published) > 0 {
		g.past = past{{Addrs: listed(s.Published, nil)}}
	}
	if s.Hold != nil {
		g.carried = map[netip.AddrPort]missing{}
		if len(s.Hold.Missing) == 0 { // as it was stored when a hold had one time for all
			for _, e := range s.Published {
				g.carried[e.Addr] = missing{counted: s.Hold.Elapsed, confirmed: s.Hold.Confirmed}
			}
		}
		for _, m := range s.Hold.Missing {
			g.carried[m.Addr] = missing{counted: m.Elapsed, confirmed: m.Confirmed, confirmedAt: m.ConfirmedAt}
		}
	}
	if s.Unhealthy > 0 {
		g.unhealthy = &unhealthy{now.Add(-s.Unhealthy), s.Published}
	}
	if t := s.Turnover; t != nil && len(t.Old) > 0 {
		g.turnover = &turnover{now.Add(-t.Elapsed), t.Old}
	}
}
