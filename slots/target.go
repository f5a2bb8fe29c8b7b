package slots

import (
	"net/netip"

	"github.com/slotsync/slotsync/discovery"
)

// Targets returns what t wants of an instance, in its order. weights are those
// of [Scale]; an address that is not there has the weight of the template.
//
//	reserved         left alone
//	free             maint, at any address; removed if it is Dynamic
//	ready endpoint   ready
//	drain endpoint   drain
//	down endpoint    maint, at its address
func (t Table) Targets(weights map[netip.AddrPort]int) []Target {
	targets := make([]Target, len(t))
	for i, s := range t {
		targets[i] = Target{Number: s.Number, Leave: s.Reserved, Dynamic: s.Dynamic}
		if !s.Reserved && !s.Free() {
			a := s.Endpoint.Addr
			targets[i] = Target{Number: s.Number, Addr: a, Weight: weights[a], Class: ClassOf(s.Endpoint.State), Dynamic: s.Dynamic}
		}
	}
	return targets
}

// ClassOf returns the class of a slot whose endpoint is in that state.
func ClassOf(s discovery.State) Class {
	switch s {
	case discovery.Ready:
		return Ready
	case discovery.Drain:
		return Drain
	case discovery.Down:
	}
	return Maint
}

// Drifted returns those of want that the instance does not have as wanted.
// Slots with an address are compared in address, class and, out of maint and where no
// agent-check is, weight; free ones only in class, which leaves those that are still to be
// removed. Slots to be left, and those that the instance lacks (see [Missing]),
// do not count, but for Dynamic ones with an address, which it could have.
func Drifted(have []Server, want []Target) []Target {
	find := FindServer(have)
	var drifted []Target
	for _, w := range want {
		if s := find(w.Number); s != nil && !w.satisfiedBy(s) || s == nil && w.toAdd() {
			drifted = append(drifted, w)
		}
	}
	return drifted
}

// Missing returns those of want with an address whose slot the instance lacks
// and that are not Dynamic.
func Missing(have []Server, want []Target) []Target {
	find := FindServer(have)
	var missing []Target
	for _, w := range want {
		if find(w.Number) == nil && !w.Leave && w.Addr.IsValid() && !w.Dynamic {
			missing = append(missing, w)
		}
	}
	return missing
}

// toAdd reports whether w is a server to be added where it is missing.
func (w *Target) toAdd() bool { return w.Dynamic && !w.Leave && w.Addr.IsValid() }

// toRemove reports whether s is one that was added and that w has no use for.
func (w *Target) toRemove(s *Server) bool {
	return w.Dynamic && s.Dynamic && !w.Leave && !w.Addr.IsValid()
}

// satisfiedBy reports whether s is what w wants. An agent-check must not run where it could
// bring the server back.
func (w *Target) satisfiedBy(s *Server) bool {
	if w.Leave {
		return true
	}
	return w.Class == s.Class && !w.disablesAgent(s) && (!w.Addr.IsValid() || w.Addr == s.Addr && (s.Agent || w.weightFor(s) == 0))
}

// disablesAgent reports whether the agent-check of s is to be disabled.
func (w *Target) disablesAgent(s *Server) bool { return s.AgentOn && w.Class != Ready && !w.External }

// weightFor returns the weight that s has to be given, 0 if none: a server in
// maint needs none, and one that is configured with 0 keeps what it has.
func (w *Target) weightFor(s *Server) int {
	weight := w.Weight
	if weight == 0 {
		weight = s.Initial
	}
	if w.Class == Maint || weight == s.Weight {
		return 0
	}
	return weight
}
