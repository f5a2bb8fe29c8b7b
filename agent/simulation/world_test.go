package simulation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/metrics"
)

// A world is one run of a plan.
type world struct {
	t        *testing.T
	plan     plan
	dir      string
	log      io.Writer // nil: nowhere
	proxies  []*proxy
	services [][]*service
	conf     configuration // of the agent

	mu     sync.Mutex // guards judged
	judged *oracle.Oracle

	agent    *agent.Agent
	life     *life
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ended    chan error
	states   int // state directories so far
	state    string
	broken   bool         // the state directory cannot be written to
	slow     atomic.Int64 // nanoseconds that the disk takes
	site     *site        // nil: HAProxy is not reloaded by the agent
	fuse     atomic.Int64 // commands until the agent is killed; 0: it is not to be
	heard    uint64       // the last event
	looks    int
	added    []oracle.Ask
	shown    []shown // ids, and what they stood for
	seen     *coverage
}

// run runs a plan and returns what it broke. log gets what happens and what the agent logs; it
// may be nil.
func run(t *testing.T, p plan, seen *coverage, log io.Writer) []oracle.Violation {
	t.Helper()
	return runRecorded(t, p, seen, log, nil)
}

// runRecorded is run, and hands the history to record as it is made.
func runRecorded(t *testing.T, p plan, seen *coverage, log io.Writer, record func(oracle.Entry)) (out []oracle.Violation) {
	t.Helper()
	base := os.TempDir()
	if _, err := os.Stat("/dev/shm"); err == nil {
		base = "/dev/shm" // hundreds of seeds would wait for the disk
	}
	dir, err := os.MkdirTemp(base, "slotsync-simulation-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	seen.recent = nil // events meet within a run
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, plan: p, dir: dir, log: log, judged: oracle.New(), seen: seen}
		w.conf = p.setting.configuration()
		w.judged.Record(record)
		w.begin()
		defer w.end()
		w.play()
		out = w.judged.Violations()
	})
	return out
}

func (w *world) logf(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}

// must fails the test if what the world itself does cannot be done.
func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// disk is the disk of a life: it takes its time, and keeps nothing that comes after a kill.
func (w *world) disk(l *life) func(func() error) error {
	return func(write func() error) error {
		for begun := time.Now(); time.Since(begun) < time.Duration(w.slow.Load()) && !l.dead.Load(); {
			time.Sleep(500 * time.Millisecond)
		}
		if l.dead.Load() {
			return errKilled
		}
		return write()
	}
}

// oracleDo tells the oracle something.
func (w *world) oracleDo(do func(*oracle.Oracle)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do(w.judged)
}

// judge tells the oracle what an agent that lives was told.
func (w *world) judge(l *life, do func(*oracle.Oracle)) {
	if !l.dead.Load() {
		w.oracleDo(do)
	}
}

func (w *world) begin() {
	for i := range w.plan.setting.Versions {
		w.proxies = append(w.proxies, newProxy(w, i, w.plan.setting))
	}
	for i, b := range w.plan.setting.Backends {
		var list []*service
		for j, f := range b.Feeds {
			list = append(list, newService(w, i, j, f))
		}
		w.services = append(w.services, list)
	}
	for _, p := range w.proxies {
		p.tell()
	}
	if w.plan.setting.Reloads {
		w.site = newSite(w)
	}
	w.state = w.freshState()
	w.start()
}

func (w *world) freshState() string {
	w.states++
	dir := filepath.Join(w.dir, fmt.Sprint("state", w.states))
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// start starts an agent with what was stored.
func (w *world) start() { w.startWith(func(*agent.Options) {}) }

// startWith is start with other options, as change makes them of its own.
func (w *world) startWith(change func(*agent.Options)) {
	w.life = &life{conns: map[net.Conn]bool{}}
	w.registry = prometheus.NewRegistry()
	o, told, names := w.options()
	change(&o)
	o.Log = slog.New(slog.DiscardHandler)
	if w.log != nil {
		o.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o.Metrics = metrics.New(w.registry, "simulation", metrics.Lists{})
	// what the process and the runtime say takes as long as all the rest
	w.registry.Unregister(collectors.NewGoCollector())
	w.registry.Unregister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := agent.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	w.oracleDo(func(j *oracle.Oracle) { j.Configured(now, told, names); j.Started(now) })
	w.agent, w.ended, w.heard = a, make(chan error, 1), 1
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	go func() { w.ended <- a.Run(ctx) }()
	synctest.Wait()
}

// mayDie kills the agent if its fuse has burnt down. It is called at each command.
func (w *world) mayDie() {
	if w.fuse.Load() > 0 && w.fuse.Add(-1) == 0 {
		w.kill()
	}
}

// kill ends what the agent does: with what it stored until now it can go on. The life ends
// before the folder is copied: what is acknowledged while it lives was stored by then.
func (w *world) kill() {
	if !w.life.kill() {
		return
	}
	kept := w.freshState()
	entries, err := os.ReadDir(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(w.state, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(kept, e.Name()), text, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
	}
	w.state, w.broken = kept, false
	w.slow.Store(0)
	if w.site != nil {
		w.site.moved(w.states)
	}
	w.oracleDo(func(o *oracle.Oracle) { o.Stopped(time.Now()); o.Stored() })
}

// reap waits for the end of an agent that was killed.
func (w *world) reap() {
	w.kill()
	w.fuse.Store(0)
	w.cancel()
	<-w.ended
}

// stopAgent ends the agent as systemd does.
func (w *world) stopAgent() {
	w.fuse.Store(0)
	w.cancel()
	if err := <-w.ended; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	if w.life.kill() { // it was not killed before
		w.oracleDo(func(o *oracle.Oracle) { o.Stopped(time.Now()) })
	}
}

func (w *world) end() {
	for _, p := range w.proxies {
		p.heal()
	}
	for _, list := range w.services {
		for _, s := range list {
			s.heal()
		}
	}
	w.reap()
	for _, p := range w.proxies {
		p.fake.Close()
	}
}
