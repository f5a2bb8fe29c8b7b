package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// leaves is when an address has left: so long after its source stopped listing
// it, or, at a HAProxy that was starting just then, after that answers, without the time
// that the machine gave to others. Clients that keep their
// connection ask more often than that, because what an old worker knows at a
// reload it knows until its last connection ends.
const leaves = time.Second

// listedAtFirst is how many servers there are, one more or less.
const listedAtFirst = 12

// TestRestartsLeaveNoGap kills and starts two HAProxies and has them reloaded by
// others, while they are asked and while servers come and go: every request is
// answered, by a server that has not left.
func TestRestartsLeaveNoGap(t *testing.T) {
	kills, reloads := share(20), share(100)
	eachVersion(t, func(t *testing.T, version string) {
		w := newRestartWorld(t, version)
		turns := w.churn(func() {
			for i, kill := range shuffled(kills, reloads) {
				edge := w.edges[i%len(w.edges)]
				switch {
				case kill:
					w.kill(edge)
				case i%3 == 0:
					w.reloadAlone(edge)
				default:
					w.reload(edge)
				}
				w.rest(rand.N(300 * time.Millisecond))
			}
			w.rest(2 * leaves)
		})
		for _, e := range w.edges {
			look := newReader(t, e.Socket)
			eventuallyOwn(t, leaves, func() string { return look.Differs(t.Context(), w.fleet.Endpoints()) })
		}
		w.stop()
		late, first, latest := w.fleet.Late()
		for _, e := range w.edges {
			t.Logf("%s: %s did without the machine for %s", version, e.name, w.fleet.stalls[e.frontend].since(time.Time{}, time.Now()).Round(time.Millisecond))
		}
		a := w.load.Account()
		t.Logf("%s: %d kills and %d reloads, %d servers came and as many went; of %d requests %d were repeated because a kept connection was closed, %d met a dead HAProxy, %d failed",
			version, kills, reloads, turns, a.Requests, a.Repeated, a.Excused, a.Failed)
		t.Logf("%s: an address has left %s after its source stopped listing it, or a HAProxy answers that was starting then; the latest request came after %s", version, leaves, latest.Round(time.Millisecond))
		if late > 0 {
			t.Errorf("%d requests to addresses that had left: %s", late, first)
		}
		if a.Failed > 0 {
			t.Errorf("%d requests failed:\n%s", a.Failed, strings.Join(a.Failures, "\n"))
		}
		for _, e := range w.edges {
			if a.ByTarget[e.name] < 100 {
				t.Errorf("%s was asked %d times: this proves nothing", e.name, a.ByTarget[e.name])
			}
		}
	})
}

// shuffled returns kills times true and reloads times false.
func shuffled(kills, reloads int) []bool {
	out := append(slices.Repeat([]bool{true}, kills), slices.Repeat([]bool{false}, reloads)...)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// A restartWorld is two HAProxies under load, over servers that come and go.
type restartWorld struct {
	t     *testing.T
	edges []*edge
	fleet *fleet
	load  *load
	stop  func() // ends the load

	turning sync.Mutex // held while servers come and go
}

func newRestartWorld(t *testing.T, version string) *restartWorld {
	w := &restartWorld{t: t, fleet: newFleet(t, leaves, listedAtFirst)}
	b := backendOf(w.fleet.source)
	b.Guard.RemovalHold = guard.Off // all are replaced every second or two, which looks like a wrong answer where somebody looks late
	r := newRig(t, nil, b)
	var targets []traffic.Target
	for i := range 2 {
		e := newEdge(t, version, fmt.Sprintf("edge-%d", i+1))
		w.edges = append(w.edges, e)
		targets = append(targets, e.target())
		r.opts.Instances = append(r.opts.Instances, e.instance(t))
	}
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(listedAtFirst) })
	for _, e := range w.edges {
		w.fleet.Watch(t, e)
	}
	w.load, w.stop = startLoad(t, 4, 20*time.Millisecond, targets...)
	return w
}

// churn has one server come and one go every 100 ms until do returns, and
// returns how often.
func (w *restartWorld) churn(do func()) (turns int) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				w.turning.Lock()
				w.fleet.Turn(true, true)
				w.turning.Unlock()
				turns++
			}
		}
	})
	defer group.Wait()
	defer close(stop)
	do()
	return turns
}

// kill ends e without warning and starts it again. Until its listener takes
// connections nobody can be served.
func (w *restartWorld) kill(e *edge) {
	w.t.Helper()
	end := w.load.window(e.name)
	e.Kill()
	// the workers die after the master
	eventually(w.t, 5*time.Second, func() string {
		if e.listens() {
			return "it is killed and still takes connections"
		}
		return ""
	})
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := waitUntil(w.t.Context(), 20*time.Second, e.listens); err == nil {
			end()
		}
	})
	defer group.Wait()
	answers := w.fleet.Loading(e.frontend)
	e.Restart()
	answers()
}

func (w *restartWorld) reload(e *edge) {
	w.t.Helper()
	answers := w.fleet.Loading(e.frontend)
	e.Reload()
	answers()
}

// reloadAlone has e reloaded while one server comes or goes, which the new worker
// may find in its state file or not, and no other afterwards that would have the
// agent look anyway.
func (w *restartWorld) reloadAlone(e *edge) {
	w.t.Helper()
	w.turning.Lock()
	defer w.turning.Unlock()
	var group sync.WaitGroup
	group.Go(func() {
		w.rest(rand.N(60 * time.Millisecond))
		comes := len(w.fleet.listed) <= listedAtFirst
		w.fleet.Turn(comes, !comes)
	})
	w.reload(e)
	group.Wait()
	look := newReader(w.t, e.Socket)
	eventuallyOwn(w.t, leaves, func() string { return look.Differs(w.t.Context(), w.fleet.Endpoints()) })
}

// rest lets time pass.
func (w *restartWorld) rest(d time.Duration) { during(w.t, d, func() string { return "" }) }

// TestRefillsWithoutStateFile kills and starts a HAProxy that comes back empty:
// 100 slots are there again a second after it answers.
func TestRefillsWithoutStateFile(t *testing.T) {
	const limit = time.Second
	eachVersion(t, func(t *testing.T, version string) {
		eps := loopback(8000, 100)
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 100}}})
		r := newRig(t, map[string]string{"edge": p.Socket}, backendOf(discovery.Static(eps)))
		r.start()
		eventually(t, 20*time.Second, func() string { return r.inStep(100) })
		var took []time.Duration
		for range share(50) {
			took = append(took, refill(t, p, eps, limit))
		}
		slices.Sort(took)
		t.Logf("%s: after %d kills 100 slots were back within %s of the first answer, %s in the median", version, len(took), took[len(took)-1], took[len(took)/2])
	})
}

// refill kills and starts p, and returns how long after its first answer it was
// filled, without the time that the machine gave to others.
func refill(t *testing.T, p *haproxytest.Process, eps []discovery.Endpoint, limit time.Duration) (took time.Duration) {
	t.Helper()
	look := newReader(t, p.Socket)
	p.Kill()
	var group sync.WaitGroup
	var empty, filled error
	group.Go(func() {
		var first []string
		_, empty = waitUntil(t.Context(), 20*time.Second, func() bool {
			var err error
			first, err = look.Ready(t.Context())
			return err == nil
		})
		if empty == nil && len(first) == len(eps) {
			empty = fmt.Errorf("HAProxy came back with %d slots filled: this proves nothing", len(first))
		}
		took, filled = waitOwn(t.Context(), limit, func() bool { return look.Differs(t.Context(), eps) == "" })
	})
	p.Restart()
	group.Wait()
	for _, err := range []error{empty, filled} {
		if err != nil {
			t.Error(err)
		}
	}
	return took
}
