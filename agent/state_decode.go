package agent

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/discovery"
)

// maxTemplate bounds the slots that the configuration of HAProxy has of a backend, as max_slots is.
const maxTemplate = 100_000

// decodeState reads a state, of which it believes only what the agent could have
// written: addresses that discovery.Check lets pass, names that can be shown,
// numbers within their bounds.
func decodeState(text []byte) (stored, error) {
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return stored{}, err
	}
	if err := store.CheckVersion(s.Version, stateVersion); err != nil {
		return stored{}, err
	}
	for i := range s.Backends {
		s.Backends[i].sanitize()
	}
	for _, in := range s.Instances {
		maps.DeleteFunc(in.Slots, func(_ string, n int) bool { return n < 0 || n > maxTemplate })
		for _, held := range in.Externals {
			maps.DeleteFunc(held, func(_ string, e storedExternal) bool { return discovery.Check(e.Addr) != "" })
		}
		for _, ready := range in.StandIns {
			maps.DeleteFunc(ready, func(number int, a netip.AddrPort) bool { return discovery.Check(a) != "" || number < 0 })
		}
	}
	return s, nil
}

// sanitize drops what cannot be true, and makes of a state with one source one
// with feeds.
func (s *storedBackend) sanitize() {
	if len(s.Feeds) == 0 && (s.Source != "" || len(s.Listed) > 0) {
		s.Feeds = []storedFeed{{Source: s.Source, At: s.At, Endpoints: s.Endpoints, Listed: s.Listed}}
	}
	s.Source, s.Listed = "", nil
	s.Endpoints = fit(s.Endpoints)
	for i := range s.Feeds {
		f := &s.Feeds[i]
		f.Endpoints = fit(f.Endpoints)
		f.Listed = slices.DeleteFunc(f.Listed, func(l sources.ListedState) bool { return discovery.Check(l.Addr) != "" })
		f.sanitizeParts()
	}
	s.Leaving = slices.DeleteFunc(s.Leaving, func(l leaving) bool { return len(fit([]discovery.Endpoint{l.Endpoint})) == 0 })
	s.Expired = slices.DeleteFunc(s.Expired, func(a netip.AddrPort) bool { return discovery.Check(a) != "" })
	s.Expired = s.Expired[:min(len(s.Expired), discovery.MaxEndpoints)]
	maps.DeleteFunc(s.Added, func(a netip.AddrPort, _ time.Time) bool { return discovery.Check(a) != "" })
	maps.DeleteFunc(s.Slots, func(a netip.AddrPort, _ string) bool { return discovery.Check(a) != "" })
	maps.DeleteFunc(s.Numbers, func(a netip.AddrPort, n int) bool { return discovery.Check(a) != "" || n < 0 })
	maps.DeleteFunc(s.Vanished, func(n int, v placement.Vanished) bool { return discovery.Check(v.Addr) != "" || n < 0 })
	most := discovery.MaxEndpoints * max(1, len(s.Feeds))
	s.Baseline = slices.DeleteFunc(s.Baseline, func(c storedCount) bool { return c.N < 0 || c.N > most })
	if h := s.Hold; h != nil {
		h.Elapsed, h.Confirmed = elapsed(h.Elapsed), max(0, min(h.Confirmed, guard.Confirmations))
		h.Missing = slices.DeleteFunc(h.Missing, func(m guard.MissingState) bool { return discovery.Check(m.Addr) != "" })
		for i, m := range h.Missing {
			h.Missing[i].Elapsed, h.Missing[i].Confirmed = elapsed(m.Elapsed), max(0, min(m.Confirmed, guard.Confirmations))
			h.Missing[i].ConfirmedAt = max(0, min(m.ConfirmedAt, h.Missing[i].Elapsed))
		}
	}
	for i, p := range s.Past {
		s.Past[i].Addrs = slices.DeleteFunc(p.Addrs, func(a netip.AddrPort) bool { return discovery.Check(a) != "" })
	}
	s.Unhealthy = elapsed(s.Unhealthy)
	if t := s.Turnover; t != nil {
		t.Elapsed, t.Old = elapsed(t.Elapsed), fit(t.Old)
	}
	if p := s.Failover; p != nil {
		p.Elapsed = elapsed(p.Elapsed)
	}
}

// sanitizeParts drops what no source could have said.
func (f *storedFeed) sanitizeParts() {
	f.Parts = slices.DeleteFunc(f.Parts, func(p sources.PartState) bool {
		return discovery.Printable(p.Name, maxWords) != p.Name || discovery.Printable(p.Parent, maxWords) != p.Parent
	})
	for i := range f.Parts {
		f.Parts[i].Endpoints = fit(f.Parts[i].Endpoints)
	}
}

// elapsed is d within what can have elapsed.
func elapsed(d time.Duration) time.Duration { return max(0, min(d, 10*365*24*time.Hour)) }

// fit returns those of eps that a source could have named.
func fit(eps []discovery.Endpoint) []discovery.Endpoint {
	out := make([]discovery.Endpoint, 0, len(eps))
	for _, e := range eps {
		if discovery.Check(e.Addr) != "" || e.Addr.Addr().Is4In6() || e.Weight < 0 || e.Weight > 1<<16 {
			continue
		}
		e.Name, e.Reason = discovery.Printable(e.Name, maxWords), discovery.Printable(e.Reason, maxWords)
		out = append(out, e)
	}
	return discovery.Normalize(out)
}

// maxWords bounds the name of a stored endpoint, and the reason of its state.
const maxWords = 256
