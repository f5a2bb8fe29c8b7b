package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	stateVersion = 1
	stateFile    = "state.json"
	// maxState bounds what is read back: more was not written by the agent.
	maxState = 256 << 20
	// saveEvery is how often the state is written at most.
	saveEvery = time.Second
)

// A stored state is what the agent must not forget. HAProxy is the truth: the
// agent goes on without it, only more carefully.
type stored struct {
	Version   int              `json:"version"`
	Backends  []storedBackend  `json:"backends"`
	Instances []storedInstance `json:"instances"`
	Reloads   []storedReload   `json:"reloads,omitempty"`
}

// A storedReload is what was reloaded lately, and what for.
type storedReload struct {
	Name    string      `json:"name"`
	Latched []latch     `json:"latched"`
	Done    []time.Time `json:"done"`
}

type storedBackend struct {
	Name string `json:"name"`
	// Source is a digest of what is asked: another source never listed these.
	Source    string                    `json:"source"`
	At        time.Time                 `json:"at"`
	Endpoints []discovery.Endpoint      `json:"endpoints"`
	Listed    []listed                  `json:"listed"`
	Baseline  []count                   `json:"baseline"`
	Hold      *storedHold               `json:"hold,omitempty"`
	Leaving   []leaving                 `json:"leaving,omitempty"`
	Slots     map[netip.AddrPort]string `json:"slots"`
}

type listed struct {
	Addr netip.AddrPort `json:"addr"`
	Last time.Time      `json:"last"`
}

// A storedHold is a hold and how long it had lasted.
type storedHold struct {
	Kind    string        `json:"kind"`
	Elapsed time.Duration `json:"elapsed"`
}

type storedInstance struct {
	Name      string                         `json:"name"`
	Process   slots.Process                  `json:"process"`   // that answered last
	Externals map[string]map[string]external `json:"externals"` // by backend and slot
}

// loadState reads the state directory. An error says why there is nothing to go
// by; a directory that was never written to is none.
func loadState(dir string) (stored, error) {
	var s stored
	if dir == "" {
		return s, nil
	}
	f, err := os.Open(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxState)).Decode(&s); err != nil {
		return stored{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if s.Version != stateVersion {
		return stored{}, fmt.Errorf("%s has version %d, this is version %d", f.Name(), s.Version, stateVersion)
	}
	return s, nil
}

// reload returns what was stored of one reload.
func (s stored) reload(name string) storedReload {
	for _, r := range s.Reloads {
		if r.Name == name {
			return r
		}
	}
	return storedReload{}
}

// restore takes what was stored.
func (r *reloading) restore(s storedReload) {
	r.latched, r.done = s.Latched, s.Done
}

// snapshot returns what has to be stored.
func (a *Agent) snapshot(now time.Time) stored {
	s := a.core.snapshot(now)
	for _, r := range a.reloads {
		s.Reloads = append(s.Reloads, storedReload{r.Name, r.latched, recent(slices.Clone(r.done), now)})
	}
	return s
}

// snapshot returns what has to be stored of backends and instances.
func (c *core) snapshot(now time.Time) stored {
	s := stored{Version: stateVersion}
	for _, b := range c.backends {
		s.Backends = append(s.Backends, b.store(now))
	}
	for _, in := range c.instances {
		out := storedInstance{Name: in.Name, Process: in.last.process, Externals: map[string]map[string]external{}}
		for name, r := range in.last.backends {
			if len(r.externals) > 0 {
				out.Externals[name] = r.externals
			}
		}
		s.Instances = append(s.Instances, out)
	}
	return s
}

func (b *backend) store(now time.Time) storedBackend {
	s := storedBackend{
		Name: b.Name, Source: digest(b.Feeds[0].Identity), At: now, Endpoints: b.guard.published,
		Baseline: b.guard.history, Slots: map[netip.AddrPort]string{},
	}
	if !b.heard {
		s.At = b.storedAt
	}
	for a, at := range b.listed {
		s.Listed = append(s.Listed, listed{a, at})
	}
	slices.SortFunc(s.Listed, func(x, y listed) int { return x.Addr.Compare(y.Addr) })
	if h := b.guard.hold; h != nil {
		s.Hold = &storedHold{h.kind, h.elapsed(now)}
	}
	s.Leaving = slices.SortedFunc(maps.Values(b.leaving), func(x, y leaving) int {
		return x.Endpoint.Addr.Compare(y.Endpoint.Addr)
	})
	for _, slot := range b.table {
		if !slot.Free() {
			s.Slots[slot.Endpoint.Addr] = slot.Name
		}
	}
	return s
}

// restore takes what was stored of b. What another source listed is no reason
// to remove anything.
func (b *backend) restore(s storedBackend, now time.Time) {
	if !slices.ContainsFunc(s.Endpoints, func(e discovery.Endpoint) bool { return discovery.Check(e.Addr) != "" }) {
		b.guard.published, b.guard.history = discovery.Normalize(s.Endpoints), s.Baseline
	}
	b.guard.carried = s.Hold
	b.prefer, b.storedAt = s.Slots, s.At
	if s.Source == digest(b.Feeds[0].Identity) {
		for _, l := range s.Listed {
			b.listed[l.Addr] = l.Last
		}
	}
	for _, l := range s.Leaving {
		b.leaving[l.Endpoint.Addr] = l
	}
	age := now.Sub(s.At)
	if len(b.guard.published) > 0 && age < restoreAge && age > -restoreAge {
		b.phase, b.due = phaseRestored, true
	}
}

// digest returns a short name for a key that may hold anything.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// A saver writes states, the newest at most once a second.
type saver struct {
	dir    string
	in     chan stored // holds the newest
	failed func(error)
}

// put hands s over without waiting; a state that was not written yet is
// replaced. It is called from one goroutine.
func (s *saver) put(state stored) {
	select {
	case <-s.in:
	default:
	}
	s.in <- state
}

// run writes until ctx is done, and then what is left.
func (s *saver) run(ctx context.Context) {
	for {
		select {
		case state := <-s.in:
			s.write(state)
		case <-ctx.Done():
			select {
			case state := <-s.in:
				s.write(state)
			default:
			}
			return
		}
		select {
		case <-time.After(saveEvery):
		case <-ctx.Done():
		}
	}
}

func (s *saver) write(state stored) {
	if s.dir == "" {
		return
	}
	text, err := json.Marshal(state)
	if err == nil {
		err = os.MkdirAll(s.dir, 0o750)
	}
	if err == nil {
		err = renameio.WriteFile(filepath.Join(s.dir, stateFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		s.failed(err)
	}
}

// instance returns what was stored of an instance.
func (s stored) instance(name string) storedInstance {
	for _, in := range s.Instances {
		if in.Name == name {
			return in
		}
	}
	return storedInstance{}
}

func (s stored) backend(name string) (storedBackend, bool) {
	i := slices.IndexFunc(s.Backends, func(b storedBackend) bool { return b.Name == name })
	if i < 0 {
		return storedBackend{}, false
	}
	return s.Backends[i], true
}
