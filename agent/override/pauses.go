package override

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// Pauses are by backend, "" for all.
type Pauses map[string]api.Pause

// Of returns the pause that holds for a backend at that time, the harder one if
// there are two; nil for none.
func (p Pauses) Of(backend string, now time.Time) *api.Pause {
	if len(p) == 0 { // as nearly always, and this is asked often
		return nil
	}
	var found *api.Pause
	for _, name := range []string{"", backend} {
		if x, ok := p[name]; ok && now.Before(x.Until) && (found == nil || x.Hard) {
			found = &x
		}
	}
	return found
}

// Expire drops the pauses that are over, and returns them.
func (p Pauses) Expire(now time.Time) []api.Pause {
	return p.dropWhere(func(x api.Pause) bool { return !now.Before(x.Until) })
}

// End drops the pause of a backend, all of them for "", and returns what it dropped.
func (p Pauses) End(backend string) []api.Pause {
	return p.dropWhere(func(x api.Pause) bool { return backend == "" || x.Backend == backend })
}

func (p Pauses) dropWhere(drop func(api.Pause) bool) (dropped []api.Pause) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if x := p[name]; drop(x) {
			dropped = append(dropped, x)
			delete(p, name)
		}
	}
	return dropped
}

// RestorePauses returns the stored ones that are not over.
func RestorePauses(stored []api.Pause, now time.Time) Pauses {
	out := Pauses{}
	for _, p := range stored[:min(len(stored), Max)] {
		p.By, p.Reason = discovery.Printable(p.By, 100), discovery.Printable(p.Reason, 200)
		out[p.Backend] = p
	}
	out.Expire(now)
	return out
}

// Sorted returns the pauses by backend.
func (p Pauses) Sorted() []api.Pause {
	out := []api.Pause{}
	for _, x := range p {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b api.Pause) int { return strings.Compare(a.Backend, b.Backend) })
	return out
}
