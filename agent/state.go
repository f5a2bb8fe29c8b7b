package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reloadpolicy"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// A stored state is what the agent must not forget. HAProxy is the truth: the
// agent goes on without it, only more carefully.
type stored struct {
	Version   int              `json:"version"`
	Backends  []storedBackend  `json:"backends"`
	Instances []storedInstance `json:"instances"`
	Reloads   []storedReload   `json:"reloads,omitempty"`
	// Overrides and Pauses stand in a file of their own too, which counts. They are
	// here for the release before this one, and OperatorsAt, when they last changed,
	// tells whether that wrote them: it has none.
	Overrides   []api.Override `json:"overrides,omitempty"`
	Pauses      []api.Pause    `json:"pauses,omitempty"`
	OperatorsAt *time.Time     `json:"operators_at,omitempty"`
}

// operatorsAt is when operators last changed anything, as far as s knows.
func (s stored) operatorsAt() time.Time {
	if s.OperatorsAt == nil {
		return time.Time{}
	}
	return *s.OperatorsAt
}

// A storedReload is what was reloaded lately, and what for.
type storedReload struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	// Former: it was not configured any more.
	Former bool `json:"former,omitempty"`
	reloadpolicy.State
}

type storedBackend struct {
	Name      string               `json:"name"`
	At        time.Time            `json:"at"`
	Endpoints []discovery.Endpoint `json:"endpoints"` // as published
	Baseline  []storedCount        `json:"baseline"`
	Past      []guard.PastSet      `json:"past,omitempty"`
	Hold      *guard.HoldState     `json:"hold,omitempty"`
	// Unhealthy is how long what served last has gone on although all that is
	// registered is unhealthy; 0: it is not.
	Unhealthy time.Duration        `json:"unhealthy,omitempty"`
	Turnover  *guard.TurnoverState `json:"turnover,omitempty"`
	Failover  *storedPosition      `json:"failover,omitempty"`
	Feeds     []storedFeed         `json:"feeds"`
	Leaving   []leaving            `json:"leaving,omitempty"`
	// Ends are when the sessions of endpoints that left are to be ended.
	Ends map[netip.AddrPort]time.Time `json:"ends,omitempty"`
	// Expired are endpoints that were forgotten for their age before every source had answered.
	Expired []netip.AddrPort `json:"expired,omitempty"`
	// Added are the endpoints that operators added and do not want any more.
	Added map[netip.AddrPort]time.Time `json:"added,omitempty"`
	// Slots are by name, as the release before this one has them, Numbers the same.
	Slots   map[netip.AddrPort]string `json:"slots"`
	Numbers map[netip.AddrPort]int    `json:"numbers,omitempty"`
	// Vanished are slots that no instance has any more.
	Vanished map[int]placement.Vanished `json:"vanished,omitempty"`

	// Source and Listed are those of the one feed there was before there could be
	// several.
	Source string                `json:"source,omitempty"`
	Listed []sources.ListedState `json:"listed,omitempty"`
}

// A storedCount is how many endpoints were present from a moment on: what the release
// before this one goes by.
type storedCount struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
}

// A storedFeed is what one feed said.
type storedFeed struct {
	Name string `json:"name"`
	// Source is a digest of what is asked: another source never listed these.
	Source    string                `json:"source"`
	At        time.Time             `json:"at"` // zero: it never said all of them
	Endpoints []discovery.Endpoint  `json:"endpoints"`
	Listed    []sources.ListedState `json:"listed"`
	Parts     []sources.PartState   `json:"parts,omitempty"`
	// Memory is the source's own.
	Memory string `json:"memory,omitempty"`
}

// A storedPosition says which feeds were in use, and for how long that should
// have been otherwise; 0: it should not.
type storedPosition struct {
	Primary string        `json:"primary,omitempty"`
	Away    bool          `json:"away"`
	Elapsed time.Duration `json:"elapsed,omitempty"`
}

// snapshot returns what has to be stored.
func (a *Agent) snapshot(now time.Time) stored {
	s := a.core.snapshot(now)
	for _, r := range slices.Concat(a.reloads, a.formerReloads) {
		s.Reloads = append(s.Reloads, storedReload{r.Name, r.File, r.former, r.policy.State(now)})
	}
	return s
}

// snapshot returns what has to be stored of backends and instances.
func (c *core) snapshot(now time.Time) stored {
	at := c.operatorsAt // zero if nobody ever asked for anything
	s := stored{Version: stateVersion, OperatorsAt: &at, Overrides: c.overrides.Sorted(), Pauses: c.pauses.Sorted()}
	for _, b := range c.backends {
		s.Backends = append(s.Backends, b.store(b.slotNames(), now))
	}
	for _, in := range c.instances {
		s.Instances = append(s.Instances, c.storeInstance(in))
	}
	return s
}

// instance returns what was stored of an instance.
func (s stored) instance(name string) storedInstance {
	return first(s.Instances, func(in storedInstance) bool { return in.Name == name })
}

// reached returns what was stored of the instance at a socket; one without a name if nothing was.
func (s stored) reached(socket string) storedInstance {
	return first(s.Instances, func(in storedInstance) bool { return in.Socket != "" && in.Socket == socket })
}

// known returns what was stored of n, one of next: of the one with its socket, whatever that was
// called, or else of the one with its name, unless that is another one now. went says that it was
// not configured any more: who comes under its name at another socket is another one, too.
func (s stored) known(n Instance, next []Instance, went bool) storedInstance {
	if known := s.reached(n.socket()); known.Name != "" {
		return known
	}
	known := s.instance(n.Name)
	if known.Socket != "" && (went || slices.ContainsFunc(next, isAt(known.Socket))) {
		return storedInstance{}
	}
	return known
}

// backend returns what was stored of a backend; one without a name if nothing was.
func (s stored) backend(name string) storedBackend {
	return first(s.Backends, func(b storedBackend) bool { return b.Name == name })
}

const (
	stateVersion = 1
	stateFile    = "state.json"
)
