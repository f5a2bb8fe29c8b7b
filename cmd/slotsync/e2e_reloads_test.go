package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestReloadsByOthers has two HAProxies reloaded by others while servers come and
// go, one that starts with its state file and one that starts empty: a second
// after a new worker answers it has what is listed, and no old worker has taken
// anything once it was told to end.
func TestReloadsByOthers(t *testing.T) {
	const within = time.Second
	reloads := 12 // each kind of them, twice
	if long() {
		reloads = 200
	}
	eachVersion(t, func(t *testing.T, version string) {
		w := newReloadWorld(t, version)
		var took []time.Duration
		for i := range reloads {
			took = append(took, w.reload(w.edges[i%len(w.edges)], i, within))
			during(t, rand.N(400*time.Millisecond), func() string { return "" })
		}
		eventually(t, 10*time.Second, func() string { return w.rig.inStep(len(w.list.Endpoints())) })
		slices.Sort(took)
		var sum account
		for _, e := range w.edges {
			a := e.tap.Account()
			sum.writes, sum.refused, sum.both = sum.writes+a.writes, sum.refused+a.refused, sum.both+a.both
			for _, f := range a.faults {
				t.Errorf("%s: %s", e.name, f)
			}
			if a.writes < reloads {
				t.Errorf("%s was written to %d times: this proves nothing", e.name, a.writes)
			}
		}
		t.Logf("%s: %d reloads, %d servers came and as many went, %d changes sent: old workers refused %d and took %d before they were told to end; in step %s after the new worker answered, %s in the median",
			version, reloads, w.list.turns, sum.writes, sum.refused, sum.both, took[len(took)-1].Round(time.Millisecond), took[len(took)/2].Round(time.Millisecond))
	})
}

// A reloadWorld is two HAProxies, each behind a tap, and an agent that fills them
// from a list.
type reloadWorld struct {
	t     *testing.T
	rig   *rig
	list  *turnover
	edges []*tapped
}

// A tapped is a HAProxy whose agent is listened to.
type tapped struct {
	*haproxytest.Process
	name   string
	tap    *tap
	client *haproxy.Client // past the tap
	master *haproxy.Master
}

func newReloadWorld(t *testing.T, version string) *reloadWorld {
	w := &reloadWorld{t: t, list: newTurnover(12)}
	w.rig = newRig(t, nil, backendOf(w.list.source))
	for _, filled := range []bool{true, false} {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Maxconn: 50, StateFile: filled,
			Backends: []haproxytest.Backend{{Name: "web", Slots: 40}}})
		m, err := haproxy.NewMaster(p.Master, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		e := &tapped{Process: p, name: fmt.Sprintf("edge-%t", filled), client: newReader(t, p.Socket).client, master: m}
		e.tap = newTap(w.list)
		o := haproxy.Options{Socket: haproxytest.NewWire(t, p.Socket, e.tap.hear).Socket}
		if filled {
			o.StateFile = filepath.Join(p.StateDir(), "{backend}")
		}
		w.rig.opts.Instances = append(w.rig.opts.Instances, instanceAt(t, e.name, o))
		w.edges = append(w.edges, e)
	}
	w.rig.start()
	eventually(t, 20*time.Second, func() string { return w.rig.inStep(12) })
	return w
}

// reload has e reloaded while servers come and go, and returns how long after the
// first answer of the new worker it was in step.
func (w *reloadWorld) reload(e *tapped, i int, within time.Duration) time.Duration {
	w.t.Helper()
	turns := [...]int{1000, 1, 0}[i/len(w.edges)%3]
	if turns == 0 {
		// the agent looks often for a second after it has written
		during(w.t, 1100*time.Millisecond, func() string { return "" })
	}
	old, release := e.Linger()
	defer release()
	stop := w.turn(turns)
	var group sync.WaitGroup
	var took time.Duration
	var late error
	group.Go(func() {
		_, late = waitUntil(w.t.Context(), 20*time.Second, func() bool { now := e.Worker(); return now != 0 && now != old })
		e.tap.answers(old)
		stop()
		if late == nil {
			took, late = w.converges(e, old, within)
		}
	})
	if i%3 == 0 {
		e.Reload()
	} else if _, err := e.master.Reload(w.t.Context()); err != nil {
		w.t.Error(err)
	}
	if group.Wait(); late != nil {
		w.t.Fatalf("%s, reload %d of worker %d: %v", e.name, i, old, late)
	}
	w.leavesAlone(e, old, within)
	return took
}

// leavesAlone checks that nothing changes any more in the old worker e had, once
// that was told to end.
func (w *reloadWorld) leavesAlone(e *tapped, old int, within time.Duration) {
	w.t.Helper()
	eventually(w.t, 10*time.Second, func() string {
		if !strings.Contains(e.AskWorker(old, "show info"), "\nStopping: 1\n") {
			return "the old worker goes on"
		}
		return ""
	})
	e.tap.ends(old)
	last := slotsOf(e.AskWorker(old, "show servers state web"))
	w.list.Turn()
	if _, err := w.converges(e, old, within); err != nil {
		w.t.Fatalf("%s, after the reload: %v", e.name, err)
	}
	if now := slotsOf(e.AskWorker(old, "show servers state web")); !slices.Equal(last, now) || len(now) == 0 {
		w.t.Errorf("%s: the old worker %d had %q and has %q", e.name, old, last, now)
	}
}

// converges waits until another worker than old has what is listed, and returns
// how long that took, without the time that the machine gave to others.
func (w *reloadWorld) converges(e *tapped, old int, within time.Duration) (took time.Duration, err error) {
	var differs string
	took, err = waitOwn(w.t.Context(), within, func() bool {
		differs = e.differs(w.t.Context(), old, w.list)
		return differs == ""
	})
	if err != nil {
		err = fmt.Errorf("%w: %s", err, differs)
	}
	return took, err
}

// differs says how another worker than old differs from what is listed.
func (e *tapped) differs(ctx context.Context, old int, list *turnover) string {
	v, err := e.client.View(ctx, []string{"web"}, false)
	if err != nil {
		return err.Error()
	}
	if v.Process.Pid == old {
		return "the old worker answers"
	}
	var got []string
	for _, s := range v.Servers["web"] {
		if s.Class == slots.Ready {
			got = append(got, s.Addr.String())
		}
	}
	if unlisted := list.Unlisted(got); unlisted != "" {
		e.tap.note(unlisted + " is ready and was never listed")
	}
	slices.Sort(got)
	if want := addresses(list.Endpoints()); !slices.Equal(got, want) {
		return fmt.Sprintf("ready are %q, listed are %q", got, want)
	}
	return ""
}

// turn has servers come and go every few milliseconds, until stop is called or so
// many have: with none, there is nothing to have an agent look but its clock.
func (w *reloadWorld) turn(most int) (stop func()) {
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() {
		for range most {
			timer := time.NewTimer(rand.N(60 * time.Millisecond))
			select {
			case <-timer.C:
				w.list.Turn()
			case <-done:
				timer.Stop()
				return
			}
		}
	})
	return func() { close(done); group.Wait() }
}

// A turnover lists servers, of which one comes and one goes at a time. None comes
// twice.
type turnover struct {
	source *listing

	mu     sync.Mutex
	all    []discovery.Endpoint // that were ever listed, in their order
	listed int                  // of them, from the end
	turns  int
}

func newTurnover(n int) *turnover {
	l := &turnover{all: loopback(1000, n), listed: n}
	l.source = newListing(l.all...)
	return l
}

func (l *turnover) Turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	l.all = append(l.all, loopback(1000+len(l.all), 1)...)
	l.source.Set(l.all[len(l.all)-l.listed:])
}

// Endpoints returns what is listed now.
func (l *turnover) Endpoints() []discovery.Endpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[len(l.all)-l.listed:])
}

// Unlisted returns the first of the addresses that was never listed.
func (l *turnover) Unlisted(got []string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := addresses(l.all)
	i := slices.IndexFunc(got, func(a string) bool { return !slices.Contains(known, a) })
	if i < 0 {
		return ""
	}
	return got[i]
}
