package simulation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
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
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
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
	fuse     atomic.Int64 // commands until the agent is killed; 0: it is not to be
	heard    uint64       // the last event
	looks    int
	added    []oracle.Ask
	seen     *coverage
}

// A configuration is what can be changed at run time.
type configuration struct {
	backends  []backendSetting
	absent    map[int]bool    // backends that are not configured
	feeds     map[[2]int]bool // feeds that are not
	instances map[int]bool    // instances that are not
	deny      bool
	question  int // how often the sources' questions changed, and how the instances are reached
	keys      int
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
		w.conf = configuration{backends: p.setting.Backends, absent: map[int]bool{}, feeds: map[[2]int]bool{}, instances: map[int]bool{}}
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

// options are those of the configuration, and what the oracle is told of them.
func (w *world) options() (agent.Options, []oracle.Backend, []string) {
	s := w.plan.setting
	o := agent.Options{Timeout: s.Timeout, Poll: s.Poll, Resync: 10 * time.Second, StateDir: w.state}
	var told []oracle.Backend
	var names []string
	for i, p := range w.proxies {
		if w.conf.instances[i] {
			continue
		}
		pattern := ""
		if p.files != "" {
			pattern = filepath.Join(p.files, "{backend}")
		}
		life := w.life
		client, err := haproxy.New(haproxy.Options{
			Socket: "/run/" + p.name + ".sock", Timeout: s.Timeout, StateFile: pattern,
			Dial: func(ctx context.Context) (net.Conn, error) { return life.dial(ctx, p) },
		})
		if err != nil {
			w.t.Fatal(err)
		}
		o.Instances = append(o.Instances, agent.Instance{Name: p.name, Conn: mortalClient{client, life}, StateFile: pattern != "", Key: fmt.Sprint(p.name, w.conf.keys)})
		names = append(names, p.name)
	}
	for i, b := range w.conf.backends {
		if !w.conf.absent[i] {
			one, judged := w.backend(i, b)
			o.Backends, told = append(o.Backends, one), append(told, judged)
		}
	}
	return o, told, names
}

func (w *world) backend(i int, b backendSetting) (agent.Backend, oracle.Backend) {
	hold := func(d time.Duration) time.Duration {
		switch {
		case d == 0:
			return guard.Off
		case d < 0:
			return guard.Never
		}
		return d
	}
	one := agent.Backend{
		Name: backendName(i), Proxy: backendName(i), Shutdown: b.Shutdown, Dynamic: b.Dynamic, RepairExternal: b.Repair, MaxSlots: 100,
		Guard:          guard.Rules{EmptyHold: hold(b.EmptyHold), RemovalHold: hold(b.Hold), MaxRemoval: b.MaxRemoval, Window: b.Window, TurnoverWait: hold(b.Turnover)},
		OnAllUnhealthy: agent.DropUnhealthy, Leave: slots.Maint,
	}
	if b.Keep {
		one.OnAllUnhealthy = agent.KeepUnhealthy
	}
	if b.Leave {
		one.Leave, one.Drain = slots.Drain, 10*time.Second
	}
	judged := oracle.Backend{
		Name: one.Name, Hold: b.Hold, EmptyHold: b.EmptyHold, Window: b.Window, MaxRemoval: b.MaxRemoval, Dynamic: b.Dynamic, Repair: b.Repair,
	}
	if b.Prefix {
		one.Prefix, judged.Prefix = "srv", "srv"
	}
	if w.conf.deny {
		denied := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(i + 1), 1, 1}), 32)
		one.Policy.Deny, judged.Deny = []netip.Prefix{denied}, []netip.Prefix{denied}
	}
	for j, s := range w.services[i] {
		if w.conf.feeds[[2]int{i, j}] {
			continue
		}
		one.Feeds = append(one.Feeds, agent.Feed{Name: s.name, Source: s.watch(w.life), Key: fmt.Sprint(s.name, w.conf.question), Identity: s.name})
		judged.Feeds = append(judged.Feeds, s.name)
	}
	if b.Failover && len(one.Feeds) > 1 {
		one.Failover = sources.Failover{Primary: one.Feeds[0].Name, After: 5 * time.Second, Back: 10 * time.Second}
		judged.Primary = one.Feeds[0].Name
	}
	return one, judged
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

// reconfigure has the agent go on with the configuration as it is now; if it refuses, with
// the one before.
func (w *world) reconfigure(before configuration) {
	o, told, names := w.options()
	o.Log, o.Metrics = slog.New(slog.DiscardHandler), nil
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	// the agent acts on it before it says so
	w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
	if err := w.agent.Reconfigure(ctx, o); err != nil {
		w.logf("reconfigure: %v", err)
		w.conf = before
		_, told, names = w.options()
		w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
	}
	if w.life.dead.Load() {
		return
	}
	w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
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
	w.life.kill()
	w.oracleDo(func(o *oracle.Oracle) { o.Stopped(time.Now()) })
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

// play takes the steps of the plan.
func (w *world) play() {
	w.pass(3 * time.Second)
	for i, s := range w.plan.steps {
		if w.life.dead.Load() {
			w.reap()
			w.start()
		}
		w.logf("step %d: %s", i, s)
		w.seen.step(w, s.verb)
		w.do(s)
		w.pass(s.pause)
		if len(w.judged.Violations()) > 0 {
			return
		}
	}
	if w.plan.live {
		w.calm()
	}
}

// pass lets time pass, and looks at what the agent says every now and then.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		time.Sleep(min(left, 7*time.Second))
		synctest.Wait()
		w.look()
		if left <= 7*time.Second {
			return
		}
	}
}

// calm ends every fault, has everything accepted and asked for end, gives time, and looks
// whether all is well.
func (w *world) calm() {
	if w.life.dead.Load() {
		w.reap()
		w.start()
	}
	w.fuse.Store(0)
	w.heal()
	for range 3 {
		w.pass(40 * time.Second)
		w.settleAll()
	}
	w.pass(90 * time.Second)
	if len(w.judged.Violations()) > 0 {
		return
	}
	before := map[string]int{}
	for _, p := range w.proxies {
		w.oracleDo(func(*oracle.Oracle) { before[p.name] = p.commands })
	}
	w.pass(45 * time.Second)
	status := w.status()
	w.oracleDo(func(o *oracle.Oracle) {
		o.Calmed(time.Now(), status)
		for _, p := range w.proxies {
			o.Quiet(time.Now(), p.name, p.commands-before[p.name])
		}
	})
}

// heal ends every fault.
func (w *world) heal() {
	w.unbreak()
	before := w.conf
	w.conf.absent, w.conf.feeds, w.conf.instances, w.conf.deny = map[int]bool{}, map[[2]int]bool{}, map[int]bool{}, false
	w.reconfigure(before)
	for _, p := range w.proxies {
		p.heal()
		p.standard()
		for _, b := range p.backends {
			for _, s := range p.fake.Servers(b.Name) {
				p.fake.SetSessions(b.Name, s.Name, 0)
			}
		}
		p.restart(true)
	}
	for _, list := range w.services {
		for _, s := range list {
			s.heal()
			s.change(func() {
				for _, p := range s.parts {
					for a, state := range p.there {
						if state == discovery.Down {
							p.there[a] = discovery.Ready
						}
					}
				}
			})
		}
	}
}

func (w *world) unbreak() {
	if w.broken {
		w.broken = false
		w.oracleDo(func(o *oracle.Oracle) { o.Stored() })
		if err := os.Chmod(w.state, 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
}
