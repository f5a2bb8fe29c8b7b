package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const (
	// atMost is how long a running HAProxy may take for a change, whatever the
	// others do, and wakes how long one may that was stopped.
	atMost, wakes = time.Second, 2 * time.Second
	// stays is how long everything is looked at after each stop, and not changed:
	// what the agent still does after a batch of unknown outcome, it does 1 s and
	// 5 s after it.
	stays = 6 * time.Second
	// mostAtOnce is how many addresses change at once: fewer than the guard holds.
	mostAtOnce = 10
)

// TestOneStoppedDelaysNobody stops one of three HAProxies in the middle of a
// batch, again and again, and changes what is listed meanwhile. The others get
// it as fast as before, and the one that was stopped is right when it wakes, and
// stays so, though it executes then what it was sent before.
func TestOneStoppedDelaysNobody(t *testing.T) {
	t.Parallel()
	v := haproxytest.Versions
	tests := []*isolation{newIsolation(t, v[0], v[1], v[2])}
	for _, version := range v {
		tests = append(tests, newIsolation(t, version, version, version))
	}
	var group sync.WaitGroup
	var measuring sync.Mutex
	for i, s := range tests {
		s.measuring = &measuring
		stops, last := 100, time.Minute
		if !long() {
			// ten in all, one of them longer than a round may take
			stops, last = 2, stays
			if i == 0 {
				stops = 4
			}
		}
		group.Go(func() { s.err = s.run(t.Context(), stops, last) })
	}
	group.Wait()
	all := &isolation{name: "of any world"}
	for _, s := range tests {
		s.judge(t)
		all.free, all.beside = append(all.free, s.free...), append(all.beside, s.beside...)
		if long() {
			s.compare(t)
		}
	}
	// a few stops of one world are too few for a median of its own
	all.compare(t)
}

// A lane is one HAProxy, the relay in front of it, and a look past both.
type lane struct {
	*haproxytest.Process
	name  string
	relay *haproxytest.Relay
	look  reader
}

// An isolation is an agent over three HAProxies, and what came of stopping them.
type isolation struct {
	name   string
	source *listing
	lanes  []*lane
	pool   []discovery.Endpoint
	listed int // so many of the pool, from its start

	free, beside, woken []time.Duration
	stops, writing      int
	err                 error
	// measuring is held while it is measured how long a change takes: the tests
	// side by side are not to delay one another.
	measuring *sync.Mutex
}

func newIsolation(t *testing.T, versions ...string) *isolation {
	s := &isolation{name: strings.Join(slices.Compact(slices.Clone(versions)), " "), pool: loopback(9000, 60), listed: 40}
	s.source = newListing(s.pool[:s.listed]...)
	r := newRig(t, nil, backendOf(s.source))
	for i, version := range versions {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 100}}})
		l := &lane{Process: p, name: fmt.Sprintf("edge-%d (%s)", i+1, version), relay: haproxytest.NewRelay(t, p.Socket), look: newReader(t, p.Socket)}
		t.Cleanup(l.wake)
		s.lanes = append(s.lanes, l)
		o := haproxy.Options{Socket: l.relay.Socket, StateFile: filepath.Join(p.StateDir(), "{backend}")}
		r.opts.Instances = append(r.opts.Instances, instanceAt(t, l.name, o))
	}
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(s.listed) })
	return s
}

func (l *lane) wake() { _ = syscall.Kill(l.Pid(), syscall.SIGCONT) }

// run stops so often, and looks on for as long after the last time.
func (s *isolation) run(ctx context.Context, stops int, last time.Duration) error {
	for i := range stops {
		one, others := s.pick()
		for range 3 {
			if err := s.change(ctx, 1+rand.N(mostAtOnce), &s.free, others...); err != nil {
				return fmt.Errorf("while all run: %w", err)
			}
		}
		pause := 100*time.Millisecond + rand.N(900*time.Millisecond)
		if long() && i%2 == 0 {
			pause = time.Second + rand.N(7*time.Second)
		} else if i == 0 && s.mixed() {
			pause = 5500 * time.Millisecond
		}
		if err := s.stop(ctx, one, others, pause); err != nil {
			return fmt.Errorf("stop %d, for %s: %w", i+1, pause, err)
		}
	}
	return s.stay(ctx, last-stays)
}

// pick returns the lane that is stopped next, and the others.
func (s *isolation) pick() (*lane, []*lane) {
	lanes := slices.Clone(s.lanes)
	rand.Shuffle(len(lanes), func(i, j int) { lanes[i], lanes[j] = lanes[j], lanes[i] })
	return lanes[0], lanes[1:]
}

func (s *isolation) mixed() bool { return strings.Contains(s.name, " ") }

// change lists n others and notes how long the lanes take for it.
func (s *isolation) change(ctx context.Context, n int, took *[]time.Duration, lanes ...*lane) error {
	in, out := s.pool[:s.listed], s.pool[s.listed:]
	others := rand.Perm(len(out))
	for k, i := range rand.Perm(len(in))[:n] {
		j := others[k]
		in[i], out[j] = out[j], in[i]
	}
	eps := discovery.Normalize(s.pool[:s.listed])
	s.measuring.Lock()
	defer s.measuring.Unlock()
	var group sync.WaitGroup
	times, errs := make([]time.Duration, len(lanes)), make([]error, len(lanes))
	s.source.Set(eps)
	for i, l := range lanes {
		group.Go(func() { times[i], errs[i] = l.arrive(ctx, eps, atMost) })
	}
	group.Wait()
	*took = append(*took, times...)
	return errors.Join(errs...)
}

// arrive waits until l shows eps, and returns how long that took, without the time that
// the machine gave to others.
func (l *lane) arrive(ctx context.Context, eps []discovery.Endpoint, most time.Duration) (time.Duration, error) {
	differs := ""
	took, err := waitOwn(ctx, most, func() bool {
		differs = l.look.Differs(ctx, eps)
		return differs == ""
	})
	if err != nil {
		return took, fmt.Errorf("%s: %w: %s", l.name, err, differs)
	}
	return took, nil
}

// stop stops one in the middle of a batch and wakes it after pause.
func (s *isolation) stop(ctx context.Context, one *lane, others []*lane, pause time.Duration) error {
	n := 1 + rand.N(mostAtOnce)
	// what is read before is about 40 bytes, and one address at least 40
	stopped, bytes := make(chan struct{}), 1+rand.N(40+40*n)
	one.relay.Forget()
	one.relay.CallAfter(bytes, func() {
		_ = syscall.Kill(one.Pid(), syscall.SIGSTOP)
		close(stopped)
	})
	defer one.wake()
	if err := s.change(ctx, n, &s.beside, others...); err != nil {
		return fmt.Errorf("while %s stops: %w", one.name, err)
	}
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		return fmt.Errorf("%s is sent less than %d bytes for %d addresses", one.name, bytes, n)
	}
	s.stops++
	if inWrites(one.relay.Transcript(), bytes) {
		s.writing++
	}
	over := time.After(pause)
	for range 3 {
		if err := s.change(ctx, 1+rand.N(mostAtOnce), &s.beside, others...); err != nil {
			return fmt.Errorf("while %s is stopped: %w", one.name, err)
		}
	}
	<-over
	one.wake()
	took, err := one.arrive(ctx, s.pool[:s.listed], wakes)
	s.woken = append(s.woken, took)
	if err != nil {
		return fmt.Errorf("after waking: %w", err)
	}
	return s.stay(ctx, stays)
}

// stay returns an error if any lane is not right all the time.
func (s *isolation) stay(ctx context.Context, d time.Duration) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < d; <-tick.C {
		for _, l := range s.lanes {
			if differs := l.look.Differs(ctx, s.pool[:s.listed]); differs != "" {
				return fmt.Errorf("%s was right and is not, %s later: %s", l.name, time.Since(start), differs)
			}
		}
	}
	return nil
}

// inWrites reports whether the n-th byte of what was sent belongs to a line that
// changes something.
func inWrites(transcript []string, n int) bool {
	sent := strings.Join(transcript, "")
	n = min(n, len(sent))
	from := strings.LastIndexByte(sent[:n], '\n') + 1
	line, _, _ := strings.Cut(sent[from:], "\n")
	return strings.Contains(line, "set server")
}

// judge says what came of it.
func (s *isolation) judge(t *testing.T) {
	t.Helper()
	if s.err != nil {
		t.Errorf("HAProxy %s: %v", s.name, s.err)
		return
	}
	for _, d := range [][]time.Duration{s.free, s.beside, s.woken} {
		slices.Sort(d)
	}
	free, beside := s.free[len(s.free)/2], s.beside[len(s.beside)/2]
	t.Logf("HAProxy %s: %d stops, %d of them among commands that write; the others took %s for a change, %s at most (all running: %s, %s at most); right %s after waking, %s at most, and from then on",
		s.name, s.stops, s.writing, beside, s.beside[len(s.beside)-1], free, s.free[len(s.free)-1], s.woken[len(s.woken)/2], s.woken[len(s.woken)-1])
	if long() && s.writing < s.stops/4 {
		t.Errorf("HAProxy %s: only %d of %d stops were in the middle of a batch", s.name, s.writing, s.stops)
	}
}

// compare holds the changes beside a stopped HAProxy against those while all run.
func (s *isolation) compare(t *testing.T) {
	t.Helper()
	if len(s.free) == 0 || len(s.beside) == 0 {
		return // the run itself has failed
	}
	slices.Sort(s.free)
	slices.Sort(s.beside)
	free, beside := s.free[len(s.free)/2], s.beside[len(s.beside)/2]
	if beside > 2*free+5*time.Millisecond {
		t.Errorf("HAProxy %s: a stopped one delays the others: %s, else %s", s.name, beside, free)
	}
}
