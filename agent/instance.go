package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/slots"
)

// instance is what the loop knows about one HAProxy.
type instance struct {
	Instance
	last reconciler.Report // but for its backends
	// met: it answered at least once, and its slots are known. continued: that process
	// had answered when the state was stored.
	met, continued bool
	// failedAt is when it stopped to answer, if it does not.
	failedAt time.Time
	// backends is what is known of its backends, by our name; see [instance.at].
	backends map[string]*backendAt
	// had is how many slots its configuration had of a backend when it showed some last, which may
	// have been to an earlier process of slotsync, or before the backend was filled elsewhere alone.
	had map[string]int
	// pending are the generations that were sent and not read back, oldest
	// first.
	pending  []pendingGeneration
	applied  uint64
	restarts int
	// commandLog has the last commands to its slots.
	commandLog commandLog
	// inStep is whether it was in step when that was recorded last, behind for how many
	// ticks in a row it has not been.
	inStep bool
	behind int
	// reconciler writes to it; cancel ends that. outdated: it has to be set anew.
	reconciler *reconciler.Reconciler
	cancel     context.CancelFunc
	outdated   bool
}

// A backendAt is what the loop knows about one backend at one instance.
type backendAt struct {
	// BackendReport is what was reported last, or before that what was stored; known says
	// that there is either.
	reconciler.BackendReport
	known bool
	// seenOnce: its slots were seen. full: some of them were ready then.
	seenOnce, full bool
	// unmanaged are the live addresses, by slot, that no source has ever listed: they are
	// left alone until somebody accepts that they go. searched: they were looked for.
	unmanaged placement.Unmanaged
	// alone is what was left alone when the targets were made last: unmanaged, and what
	// [backend.expired] asks for.
	alone    placement.Unmanaged
	searched bool
	// unmanagedThen are those of when the state was stored. corrected: what somebody took since
	// then in the same process was left out of unmanaged; later searches keep what they find.
	unmanagedThen placement.Unmanaged
	corrected     bool
}

// at returns what is known of a backend there, which may be nothing.
func (in *instance) at(backend string) *backendAt {
	at := in.backends[backend]
	if at == nil {
		at = &backendAt{}
		in.backends[backend] = at
	}
	return at
}

// A pendingGeneration is when a generation of a backend was made, and when its source answered.
type pendingGeneration struct {
	backend  string
	gen      uint64
	at, news time.Time
}

// maxPending bounds the pending generations of an instance that is away: the oldest and the
// newest are kept.
const maxPending = 64

func (in *instance) up() bool { return in.met && in.last.Err == nil }

// inSync reports whether in has nothing more to do, or is not let do it by a pause.
func (in *instance) inSync() bool {
	return in.up() && in.last.InSync && !slices.ContainsFunc(in.pending, func(s pendingGeneration) bool { return !in.at(s.backend).Paused })
}

// mayAnswer reports whether somebody listens there, as far as is known.
func (in *instance) mayAnswer() bool {
	if in.last.Err == nil {
		return true
	}
	fault, _ := slots.FaultOf(in.last.Err)
	return fault != slots.Absent && fault != slots.Denied
}

// apply notes how far an instance is with each backend, and returns the generations that it
// has read back by it. One that waits, as in a pause, keeps no other.
func (in *instance) apply(r reconciler.Report) (done []pendingGeneration) {
	in.applied = max(in.applied, r.Applied)
	in.pending = slices.DeleteFunc(in.pending, func(p pendingGeneration) bool {
		applied := r.Applied
		if b, ok := r.Backends[p.backend]; ok {
			applied = b.Applied
		}
		if p.gen > applied {
			return false
		}
		done = append(done, p)
		return true
	})
	return done
}

// lag is the age of the oldest generation that was not read back.
func (in *instance) lag(now time.Time) time.Duration {
	if len(in.pending) == 0 {
		return 0
	}
	return now.Sub(in.pending[0].at)
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

// conflictedSlots returns the names of the slots over which there is a conflict, sorted.
func (in *instance) conflictedSlots(backend string) []string {
	var out []string
	for _, number := range slices.Sorted(maps.Keys(in.at(backend).Conflicts)) {
		out = append(out, in.slotName(backend, number))
	}
	return out
}

// standIn is the slot in which an endpoint is at an instance that lacks its own: where it
// is in service, or where somebody took it out.
func (in *instance) standIn(backend string, a netip.AddrPort) (slots.Server, bool) {
	r := in.at(backend)
	for _, s := range r.Own {
		if s.Addr == a && s.Class != slots.Maint {
			return s, true
		}
	}
	for _, s := range r.Own {
		if _, taken := r.Externals[s.Number]; taken && s.Addr == a {
			return s, true
		}
	}
	return slots.Server{}, false
}

// first returns the first of list that is what is looked for, else the zero value.
func first[T any](list []T, is func(T) bool) (none T) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return none
}

// pair returns for each of next the index of the one of before that it goes on from, -1 for none: the
// first for which the first rule holds, for those that are left the second, and so on. Each is gone on
// from once.
func pair[B, N any](before []B, next []N, rules ...func(b B, n N) bool) []int {
	out := slices.Repeat([]int{-1}, len(next))
	taken := make([]bool, len(before))
	for _, same := range rules {
		for i, n := range next {
			for k, b := range before {
				if out[i] < 0 && !taken[k] && same(b, n) {
					out[i], taken[k] = k, true
				}
			}
		}
	}
	return out
}

// isShort reports whether endpoints have no slot there. One without any slot is recorded
// otherwise.
func isShort(r reconciler.BackendReport) bool { return r.Overflow > 0 && len(r.Own) > 0 }
