package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestReloadsByOthers has two HAProxies reloaded by others while servers come and
// go, one that starts with its state file and one that starts empty: a second
// after a new worker answers it has what is listed, and no old worker has taken
// anything once it was told to end.
func TestReloadsByOthers(t *testing.T) {
	const within = time.Second
	reloads := share(200)
	eachVersion(t, func(t *testing.T, version string) {
		w := newReloadWorld(t, version)
		var took []time.Duration
		for i := range reloads {
			took = append(took, w.reload(w.edges[i%len(w.edges)], i, within))
			during(t, rand.N(400*time.Millisecond), func() string { return "" })
		}
		eventually(t, within, func() string { return w.rig.inStep(len(w.list.Endpoints())) })
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
	look   reader
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
		e := &tapped{Process: p, name: fmt.Sprintf("edge-%t", filled), look: newReader(t, p.Socket), master: m}
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
// answer of the new worker it was in step.
func (w *reloadWorld) reload(e *tapped, i int, within time.Duration) time.Duration {
	w.t.Helper()
	old, release := e.Linger()
	defer release()
	stop := w.turn(i%4 < 2)
	var group sync.WaitGroup
	var answered time.Time
	group.Go(func() {
		_, err := waitUntil(w.t.Context(), 10*time.Second, func() bool { now := e.Worker(); return now != 0 && now != old })
		answered = time.Now()
		if err != nil {
			w.t.Errorf("%s, reload %d: a new worker: %v", e.name, i, err)
		}
		e.tap.answers(old)
		stop()
	})
	if i%3 == 0 {
		e.Reload()
	} else if _, err := e.master.Reload(w.t.Context()); err != nil {
		w.t.Error(err)
	}
	group.Wait()
	eventually(w.t, within, func() string {
		if !strings.Contains(e.AskWorker(old, "show info"), "\nStopping: 1\n") {
			return "the old worker goes on"
		}
		return ""
	})
	e.tap.ends(old)
	last := slotsOf(e.AskWorker(old, "show servers state web"))
	if _, err := waitUntil(w.t.Context(), within-time.Since(answered), func() bool {
		got, err := e.look.Ready(w.t.Context())
		if unlisted := w.list.Unlisted(got); err == nil && unlisted != "" {
			w.t.Errorf("%s: %s is ready and was never listed", e.name, unlisted)
		}
		return e.look.Differs(w.t.Context(), w.list.Endpoints()) == ""
	}); err != nil {
		w.t.Fatalf("%s, reload %d: %v: %s", e.name, i, err, e.look.Differs(w.t.Context(), w.list.Endpoints()))
	}
	took := time.Since(answered)
	if now := slotsOf(e.AskWorker(old, "show servers state web")); !slices.Equal(last, now) || len(now) == 0 {
		w.t.Errorf("%s, reload %d: the old worker had %q and has %q", e.name, i, last, now)
	}
	return took
}

// turn has servers come and go until stop is called: one every few milliseconds,
// or a single one at some time.
func (w *reloadWorld) turn(many bool) (stop func()) {
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() {
		for first := true; first || many; first = false {
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

// stateRow is a line of "show servers state": name, address, administrative
// state, weight and port.
var stateRow = regexp.MustCompile(`(?m)^\d+ web \d+ (\S+) (\S+) \d+ (\d+) (\d+) (?:\S+ ){10}(\d+) `)

// slotsOf returns what of each slot the agent sets.
func slotsOf(answer string) []string {
	var out []string
	for _, m := range stateRow.FindAllStringSubmatch(answer, -1) {
		out = append(out, strings.Join(m[1:], " "))
	}
	return out
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

// A tap hears what an agent says to one HAProxy, and finds what it should not
// have said.
type tap struct {
	list *turnover

	mu      sync.Mutex
	workers map[int]*witnessed
	account account
}

// An account is what a tap has heard.
type account struct {
	writes  int // commands that change a slot
	refused int // of them, by old workers
	both    int // taken by an old worker that was not told to end when a new one answered already
	faults  []string
}

// witnessed is what was said to one worker.
type witnessed struct {
	written, shown map[string]string // addresses by slot, as they were last
	superseded     time.Time         // when a new one answered; zero: none did
	ended          time.Time         // when it was known to have been told to end
}

func newTap(list *turnover) *tap { return &tap{list: list, workers: map[int]*witnessed{}} }

// Account returns what was heard so far.
func (p *tap) Account() account {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.account
}

// worker needs the lock.
func (p *tap) worker(pid int) *witnessed {
	if p.workers[pid] == nil {
		p.workers[pid] = &witnessed{written: map[string]string{}, shown: map[string]string{}}
	}
	return p.workers[pid]
}

func (p *tap) answers(old int) { p.mark(old, func(w *witnessed) { w.superseded = time.Now() }) }
func (p *tap) ends(old int)    { p.mark(old, func(w *witnessed) { w.ended = time.Now() }) }

func (p *tap) mark(old int, do func(*witnessed)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do(p.worker(old))
}

var (
	saysPid   = regexp.MustCompile(`(?m)^Pid: (\d+)$`)
	setsAddr  = regexp.MustCompile(`set server web/(\S+) addr (\S+) port (\d+)`)
	setsReady = regexp.MustCompile(`set server web/(\S+) state ready`)
)

// hear judges one connection, which leads to one worker.
func (p *tap) hear(said []haproxytest.Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid := 0
	for _, e := range said {
		if m := saysPid.FindStringSubmatch(e.Answered); m != nil {
			pid, _ = strconv.Atoi(m[1])
		}
	}
	for _, e := range said {
		p.count(pid, e)
		p.follow(p.worker(pid), e)
	}
}

// count notes which worker took what.
func (p *tap) count(pid int, e haproxytest.Exchange) {
	w := p.worker(pid)
	n, refused := strings.Count(e.Asked, "set server "), strings.Count(e.Answered, "Proxy is disabled.")
	p.account.writes += n
	p.account.refused += refused
	switch after := func(t time.Time) bool { return !t.IsZero() && e.Sent.After(t) }; {
	case n == refused:
	case pid == 0:
		p.fault("of whom nobody knows who it is", e)
	case after(w.ended):
		p.fault("that was told to end", e)
	case after(w.superseded):
		p.account.both += n - refused
	}
}

func (p *tap) fault(worker string, e haproxytest.Exchange) {
	p.account.faults = append(p.account.faults, fmt.Sprintf("to a worker %s: %.300q: %.300q", worker, e.Asked, e.Answered))
}

// follow finds slots that are made ready where their address was not seen. In
// each line what writes comes before what reads.
func (p *tap) follow(w *witnessed, e haproxytest.Exchange) {
	for _, m := range setsAddr.FindAllStringSubmatch(e.Asked, -1) {
		w.written[m[1]] = m[2] + ":" + m[3]
		delete(w.shown, m[1])
	}
	for _, m := range setsReady.FindAllStringSubmatch(e.Asked, -1) {
		shown, written := w.shown[m[1]], w.written[m[1]]
		if shown == "" || written != "" && written != shown || p.list.Unlisted([]string{shown}) != "" {
			p.fault(fmt.Sprintf("in which %s was to be at %q and was seen at %q", m[1], written, shown), e)
		}
	}
	for _, m := range stateRow.FindAllStringSubmatch(e.Answered, -1) {
		w.shown[m[1]] = m[2] + ":" + m[5]
	}
}
