package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
)

// fakeConn is an HAProxy that keeps state, refuses what the real one refuses,
// and fails as it is told.
type fakeConn struct {
	mu      sync.Mutex
	name    string
	process slots.Process
	servers map[string][]slots.Server
	saved   map[string][]slots.Server
	writes  []string
	infos   int
	options string // of the server that was added last
	views   int
	applies int
	touched map[string]time.Time // when somebody else changed a slot
	changed map[string]time.Time // when the class of a slot did

	err     error         // what every call fails with
	hang    chan struct{} // calls wait for it to be closed; nil: they do not
	hung    int           // calls that wait
	afterIt error         // Apply does its work and then fails with it
	refuse  map[string]slots.Cause
	late    []slots.Change // what was sent to it while it hung
	delay   time.Duration  // of every call
}

func newFake(name, backend string, n int) *fakeConn {
	f := &fakeConn{name: name, saved: map[string][]slots.Server{}, servers: map[string][]slots.Server{}, refuse: map[string]slots.Cause{}, touched: map[string]time.Time{}, changed: map[string]time.Time{}}
	f.process = slots.Process{Version: "2.6.12", Pid: 100, Started: 1, Node: name}
	f.addBackend(backend, n)
	return f
}

var parked = netip.MustParseAddrPort("127.0.0.1:1")

func (f *fakeConn) addBackend(backend string, n int) {
	f.servers[backend] = nil
	for i := range n {
		f.servers[backend] = append(f.servers[backend], slots.Server{
			Name: fmt.Sprintf("web%d", i+1), Addr: parked, Class: slots.Maint, Weight: 100, Initial: 100, Disabled: true, FQDN: "slot.invalid",
		})
	}
}

// restart gives the fake a new process: from the state file, or empty.
func (f *fakeConn) restart(fromFile bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process.Pid++
	f.process.Started += 10
	for backend, servers := range f.servers {
		f.addBackend(backend, len(servers))
		if saved := f.saved[backend]; fromFile && saved != nil {
			copy(f.servers[backend], saved)
		}
	}
}

func (f *fakeConn) String() string { return "/run/" + f.name }

// enter waits and fails as the fake was told.
func (f *fakeConn) enter(ctx context.Context, bounded bool) error {
	f.mu.Lock()
	hang, err, delay := f.hang, f.err, f.delay
	f.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	if hang != nil {
		f.count(1)
		defer f.count(-1)
		limit := time.Hour * 1000
		if bounded {
			limit = time.Second
		}
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(limit):
			return &slots.InstanceError{Fault: slots.Hung, Err: errors.New("no answer")}
		}
	}
	return err
}

func (f *fakeConn) count(n int) { f.mu.Lock(); f.hung += n; f.mu.Unlock() }

func (f *fakeConn) Info(ctx context.Context) (slots.Process, error) {
	if err := f.enter(ctx, false); err != nil {
		return slots.Process{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.infos++
	return f.process, nil
}

func (f *fakeConn) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	if err := f.enter(ctx, true); err != nil {
		return slots.View{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views++
	return f.view(backends, sessions), nil
}

func (f *fakeConn) viewed() int { f.mu.Lock(); defer f.mu.Unlock(); return f.views }

func (f *fakeConn) view(backends []string, sessions bool) slots.View {
	v := slots.View{Process: f.process, Servers: map[string][]slots.Server{}, At: time.Now()}
	for _, b := range backends {
		servers, ok := f.servers[b]
		if !ok {
			continue
		}
		servers = slices.Clone(servers)
		for i := range servers {
			if !sessions {
				servers[i].Sessions = -1
			}
			servers[i].Since = time.Since(f.changed[servers[i].Name]).Truncate(time.Second)
		}
		v.Servers[b] = servers
	}
	return v
}

func (f *fakeConn) Apply(ctx context.Context, seen slots.Process, changes []slots.Change) (slots.Outcome, error) {
	if err := f.enter(ctx, true); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if fault, _ := slots.FaultOf(err); fault == slots.Hung {
			f.late = append(f.late, changes...)
			return slots.Outcome{}, &slots.InstanceError{Fault: slots.Hung, Sent: true, Err: err}
		}
		return slots.Outcome{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !seen.Same(f.process) {
		return slots.Outcome{}, &slots.InstanceError{Fault: slots.Restarted, Err: errors.New("another process")}
	}
	f.applies++
	var out slots.Outcome
	var touched []string
	for _, c := range changes {
		touched = append(touched, c.Backend)
		cause, ok := f.refuse[c.Slot]
		if cause == slots.NoWeights && c.SetClass { // the rest of it is taken
			rest := c
			rest.Weight = 0
			f.do(rest)
			ok = c.Weight > 0
			if !ok {
				continue
			}
		}
		if ok {
			out.Refusals = append(out.Refusals, slots.Refusal{Change: c, Cause: cause, Reply: "no"})
			continue
		}
		f.do(c)
	}
	if f.afterIt != nil {
		return slots.Outcome{}, f.afterIt
	}
	out.View = f.view(touched, false)
	return out, nil
}

func (f *fakeConn) do(c slots.Change) {
	switch c.Kind {
	case slots.Add:
		f.servers[c.Backend] = append(f.servers[c.Backend], slots.Server{Name: c.Slot, Addr: c.Addr, Class: c.Class, Weight: c.Weight, Initial: c.Weight})
		f.options = c.Options
		f.writes = append(f.writes, "add "+c.Slot)
		return
	case slots.Remove:
		f.servers[c.Backend] = slices.DeleteFunc(f.servers[c.Backend], func(s slots.Server) bool {
			if s.Name == c.Slot && (s.Disabled || s.Class != slots.Maint || s.Sessions > 0) {
				panic("removed: " + c.Slot)
			}
			return s.Name == c.Slot
		})
		f.writes = append(f.writes, "remove "+c.Slot)
		return
	}
	for i := range f.servers[c.Backend] {
		s := &f.servers[c.Backend][i]
		if s.Name != c.Slot {
			continue
		}
		if c.Addr.IsValid() {
			if s.Class != slots.Maint && time.Since(f.touched[s.Name]) > seenLately {
				panic("address of a slot in service set: " + c.Slot)
			}
			if s.Sessions > 0 && time.Since(f.touched[s.Name]) > time.Second {
				panic("busy slot re-addressed: " + c.Slot)
			}
			s.Addr = c.Addr
		}
		if c.Weight > 0 {
			s.Weight = c.Weight
		}
		if c.SetClass && s.Class != c.Class {
			s.Class = c.Class
			f.changed[s.Name] = time.Now()
		}
		f.writes = append(f.writes, string(c.Kind)+" "+c.Slot)
	}
}

// wakeUp ends a hang: what was sent meanwhile is executed after the fact.
func (f *fakeConn) wakeUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.hang)
	f.hang = nil
}

func (f *fakeConn) Save(backend string, servers []slots.Server) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saved[backend] = slices.Clone(servers)
	return nil
}

func (f *fakeConn) Sync() error { return nil }

// set changes one server as somebody else would.
func (f *fakeConn) set(slot string, change func(*slots.Server)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, servers := range f.servers {
		for i := range servers {
			if servers[i].Name == slot {
				was := servers[i].Class
				change(&servers[i])
				f.touched[slot] = time.Now()
				if servers[i].Class != was {
					f.changed[slot] = time.Now()
				}
			}
		}
	}
}

func (f *fakeConn) with(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

// show returns the slots that are not parked, as "web1=:80 web2=:81/drain".
func (f *fakeConn) show() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return showServers(f.servers["web"])
}

func showServers(servers []slots.Server) string {
	var out []string
	for _, s := range servers {
		switch {
		case s.Class == slots.Ready:
			out = append(out, fmt.Sprintf("%s=:%d", s.Name, s.Addr.Port()))
		case s.Class == slots.Drain:
			out = append(out, fmt.Sprintf("%s=:%d/drain", s.Name, s.Addr.Port()))
		}
	}
	return strings.Join(out, " ")
}

func (f *fakeConn) takeWrites() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}

// fakeSource says what a test tells it to say.
type fakeSource struct {
	mu       sync.Mutex
	news     chan struct{}
	reading  discovery.Reading
	err      error
	confirm  func() (discovery.Reading, error)
	confirms int
	asked    bool
}

func newSource(ports ...int) *fakeSource {
	s := &fakeSource{news: make(chan struct{}, 1)}
	s.reading = discovery.Reading{Endpoints: eps(ports...)}
	return s
}

// newMute returns a source that has not answered yet.
func newMute() *fakeSource {
	s := newSource()
	s.asked = true
	return s
}

func (s *fakeSource) String() string { return "test source" }

func (s *fakeSource) Next(ctx context.Context) (discovery.Reading, error) {
	s.mu.Lock()
	first := !s.asked
	s.asked = true
	s.mu.Unlock()
	if !first {
		select {
		case <-s.news:
		case <-ctx.Done():
			return discovery.Reading{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading, s.err
}

func (s *fakeSource) Confirm(context.Context) (discovery.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirms++
	if s.confirm != nil {
		return s.confirm()
	}
	return s.reading, s.err
}

// say makes the source answer.
func (s *fakeSource) say(r discovery.Reading, err error) {
	s.mu.Lock()
	s.reading, s.err = r, err
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *fakeSource) list(ports ...int) { s.say(discovery.Reading{Endpoints: eps(ports...)}, nil) }

func (s *fakeSource) fail() {
	s.say(discovery.Reading{}, discovery.Errorf(discovery.Transport, "refused"))
}

func eps(ports ...int) []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, p := range ports {
		out = append(out, discovery.Endpoint{Addr: addr(p)})
	}
	return discovery.Normalize(out)
}

func addr(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(port))
}

// world is an agent over fakes in virtual time.
type world struct {
	t      *testing.T
	agent  *Agent
	source *fakeSource
	conns  []*fakeConn
	opts   Options
	cancel context.CancelFunc
	done   chan error
	warned *warnings
}

// warnings counts what was warned of since the start.
type warnings struct {
	mu     sync.Mutex
	counts map[string]int
}

func (w *warnings) of(text string) int { w.mu.Lock(); defer w.mu.Unlock(); return w.counts[text] }

// counting is a handler that counts warnings.
type counting struct {
	slog.Handler
	w *warnings
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.w.mu.Lock()
		c.w.counts[r.Message]++
		c.w.mu.Unlock()
	}
	return c.Handler.Handle(ctx, r)
}

func (c counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counting{c.Handler.WithAttrs(attrs), c.w}
}

// inWorld runs body in a bubble, with an agent that was not started.
func inWorld(t *testing.T, body func(*world), conns ...*fakeConn) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, source: newSource(), conns: conns}
		w.opts = Options{StateDir: t.TempDir()}
		w.opts.Backends = []Backend{{Name: "web", Proxy: "web", Prefix: "web", Source: w.source, SourceName: "test", SourceKey: "a"}}
		for _, c := range conns {
			w.opts.Instances = append(w.opts.Instances, Instance{Name: c.name, Conn: c, Key: c.name})
		}
		defer w.stop()
		body(w)
	})
}

func (w *world) start() {
	w.t.Helper()
	to := io.Discard
	if testing.Verbose() {
		to = w.t.Output()
	}
	w.warned = &warnings{counts: map[string]int{}}
	w.opts.Log = slog.New(counting{slog.NewTextHandler(to, nil), w.warned})
	w.opts.Metrics = metrics.New(prometheus.NewRegistry(), "test", metrics.Lists{})
	a, err := New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.agent, w.done = a, make(chan error, 1)
	go func() { w.done <- a.Run(ctx) }()
	w.settle()
}

func (w *world) stop() {
	if w.cancel == nil {
		return
	}
	for _, c := range w.conns {
		c.with(func() { c.hang = nil })
	}
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	w.cancel = nil
}

// settle lets everything happen that needs next to no time.
func (w *world) settle() { time.Sleep(20 * time.Millisecond); synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// want fails the test if an instance does not show this.
func (w *world) want(c *fakeConn, show string) {
	w.t.Helper()
	if got := c.show(); got != show {
		w.t.Fatalf("%s shows %q, want %q", c.name, got, show)
	}
}

func (w *world) status() Status { return w.agent.Status() }

func (w *world) wantSync(name string, in bool) {
	w.t.Helper()
	for _, s := range w.status().Instances {
		if s.Name == name && s.InSync != in {
			w.t.Fatalf("%s: in sync is %v, want %v: %+v", name, s.InSync, in, s)
		}
	}
}
