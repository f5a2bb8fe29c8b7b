package agent_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/tools/loopback"
)

// This file runs the agent over real HAProxys.

// A listing is a source that a test tells what to list.
type listing struct{ news chan []discovery.Endpoint }

func (l *listing) String() string { return "a test" }

func (l *listing) Next(ctx context.Context) (discovery.Reading, error) {
	select {
	case eps := <-l.news:
		return discovery.Complete(eps...), nil
	case <-ctx.Done():
		return discovery.Reading{}, ctx.Err()
	}
}

func (l *listing) Confirm(ctx context.Context) (discovery.Reading, error) { return l.Next(ctx) }

func (l *listing) list(ports ...int) {
	var eps []discovery.Endpoint
	for _, p := range ports {
		eps = append(eps, discovery.Endpoint{Addr: at(p)})
	}
	l.news <- discovery.Normalize(eps)
}

func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 0, 1}), uint16(port))
}

// A rig is an agent over real HAProxys.
type rig struct {
	t      *testing.T
	agent  *agent.Agent
	opts   agent.Options
	source *listing
	procs  map[string]*haproxytest.Process
	looks  map[string]*haproxy.Client
	stop   func() // ends the agent
}

// newRig starts an agent, of which configure may change what it is told.
func newRig(t *testing.T, procs map[string]*haproxytest.Process, configure func(*agent.Backend)) *rig {
	t.Helper()
	r := &rig{t: t, source: &listing{make(chan []discovery.Endpoint, 10)}, procs: procs, looks: map[string]*haproxy.Client{}}
	b := agent.Backend{Name: "web", Proxy: "web", Feeds: []agent.Feed{{Name: "test", Source: r.source, Key: "a"}},
		Guard: guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}}
	configure(&b)
	r.opts = agent.Options{StateDir: t.TempDir(), Backends: []agent.Backend{b}, Resync: time.Second,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: metrics.New(prometheus.NewRegistry(), "test", metrics.Lists{})}
	for _, name := range []string{"a", "b"} {
		if p := procs[name]; p != nil {
			r.looks[name] = dial(t, p)
			c := dial(t, p)
			r.opts.Instances = append(r.opts.Instances, agent.Instance{Name: name, Conn: c, Query: c, Key: name})
		}
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// start starts an agent with what was stored.
func (r *rig) start() {
	r.t.Helper()
	a, err := agent.New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}
	r.until("a beginning", func() bool { return len(a.Status().Backends) > 0 })
}

func dial(t *testing.T, p *haproxytest.Process) *haproxy.Client {
	t.Helper()
	c, err := haproxy.New(haproxy.Options{Socket: p.Socket, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serves are the ports in service at an instance, sorted, and what else it shows. The
// error is HAProxy's: one that has just been started may not answer yet.
func (r *rig) serves(name string) (ports []int, servers []slots.Server, err error) {
	v, err := r.looks[name].View(r.t.Context(), []string{"web"}, false)
	if err != nil {
		return nil, nil, err
	}
	servers = v.Servers["web"]
	for _, s := range servers {
		if s.Class == slots.Ready && s.Addr.Addr() == at(1).Addr() {
			ports = append(ports, int(s.Addr.Port()))
		}
	}
	slices.Sort(ports)
	return ports, servers, nil
}

// only says what keeps an instance from having just these ports in service, and nothing
// at the template's own address.
func (r *rig) only(name string, ports ...int) string {
	got, servers, err := r.serves(name)
	if err != nil {
		return err.Error()
	}
	for _, s := range servers {
		if s.Class == slots.Ready && s.Addr.Addr() != at(1).Addr() {
			return fmt.Sprintf("%s is in service", s.Addr)
		}
	}
	if !slices.Equal(got, ports) {
		return fmt.Sprintf("%v are in service, want %v", got, ports)
	}
	return ""
}

func (r *rig) inSync(name string) bool {
	for _, in := range r.agent.Status().Instances {
		if in.Name == name {
			return in.InSync
		}
	}
	return false
}

// until waits for done, which takes 2 s at most where the machine is not busy.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			for name := range r.procs {
				_, servers, err := r.serves(name)
				r.t.Logf("%s shows %+v, %v", name, servers, err)
			}
			r.t.Fatalf("%s does not come about: %+v", what, r.agent.Status())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// configuration is a whole one, with these lines in the backend web.
func configuration(lines ...string) string {
	return "global\n  stats socket {socket} mode 600 level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n" +
		"backend keep\n  server keep 127.0.0.1:1 disabled\n" + strings.Join(lines, "\n") + "\n"
}

func template(prefix string, first, last int, tail string) []string {
	return []string{"backend web", fmt.Sprintf("  server-template %s %d-%d %s disabled weight 100", prefix, first, last, tail)}
}

const host, plain = "slot.invalid:1 init-addr last,127.0.0.1", "127.0.0.1:1"

// everyVersion runs body with an HAProxy of each version.
func everyVersion(t *testing.T, text string, body func(t *testing.T, a *haproxytest.Process)) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			body(t, haproxytest.Start(t, haproxytest.Config{Version: version, Text: text}))
		})
	}
}

// A template that is renamed, has other numbers, is too small, or is gone, on one HAProxy
// after the other, and servers that are added: the agent lives, every endpoint that can
// serve does, and what cannot is not in sync.
func TestRealWalkOverTemplates(t *testing.T) {
	everyVersion(t, configuration(template("web", 1, 8, host)...), func(t *testing.T, a *haproxytest.Process) {
		b := haproxytest.Start(t, a.Config)
		random := rand.New(rand.NewPCG(uint64(len(t.Name())), 7))
		r := newRig(t, map[string]*haproxytest.Process{"a": a, "b": b}, func(b *agent.Backend) { b.Dynamic = true })
		r.source.list(80, 81, 82, 83)
		rooms := map[string]int{"a": 8, "b": 8}
		steps := [][]string{
			template("srv-", 1, 8, host), template("web", 101, 108, host), template("web1", 1, 4, host), template("web", 1, 2, plain), template("web", 5, 9, plain),
			{"backend web", "  server static1 127.0.0.1:9"}, {"backend other"},
		}
		slotsIn := []int{8, 8, 4, 2, 5, 0, 0}
		ports := []int{80, 81, 82, 83}
		for range 10 {
			name := []string{"a", "b"}[random.IntN(2)]
			i := random.IntN(len(steps))
			p := r.procs[name]
			p.Config.Text = configuration(steps[i]...)
			p.Restart()
			rooms[name] = slotsIn[i]
			ports = ports[:0]
			for n := range 1 + random.IntN(7) {
				ports = append(ports, 80+n*2+random.IntN(2))
			}
			r.source.list(ports...)
			for name := range r.procs {
				r.until(fmt.Sprintf("%v at %s in %d slots", ports, name, rooms[name]), func() bool {
					got, _, err := r.serves(name)
					if rooms[name] == 0 {
						return err == nil && len(got) == 0 && !r.inSync(name)
					}
					return slices.Equal(got, ports) && r.inSync(name)
				})
			}
		}
	})
}

// Names beside the template, however long, stop nothing, and a slot that takes no address
// gives its endpoint to another one.
func TestRealOddServersBesideTheTemplate(t *testing.T) {
	lines := append(template("web", 1, 2, host), "  server "+strings.Repeat("x", 200)+" 127.0.0.1:9 disabled", "  server web3 unix@/nowhere disabled",
		"  server web4 slot.invalid:1 init-addr none disabled", "  server web5 slot.invalid:1 init-addr last,127.0.0.1 disabled")
	everyVersion(t, configuration(lines...), func(t *testing.T, a *haproxytest.Process) {
		r := newRig(t, map[string]*haproxytest.Process{"a": a}, func(b *agent.Backend) { b.Prefix = "web" })
		r.source.list(80, 81, 82)
		r.until("3 endpoints in 3 slots of 5", func() bool {
			got, _, _ := r.serves("a")
			return slices.Equal(got, []int{80, 81, 82}) && r.inSync("a")
		})
		r.source.list(80, 81, 82, 83)
		r.until("one too many", func() bool { return len(r.agent.Status().Backends[0].Overflow) == 1 && !r.inSync("a") })
	})
}

// What somebody takes out of service while the agent is away stays out: also where nothing is
// known of the process but its counters.
func TestRealTakenOutWhileTheAgentWasAway(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			front, err := loopback.Port()
			if err != nil {
				t.Fatal(err)
			}
			text := configuration(append(template("web", 1, 5, host), "frontend in", fmt.Sprintf("  bind 127.0.0.1:%d", front), "  default_backend web")...)
			a := haproxytest.Start(t, haproxytest.Config{Version: version, Text: text})
			r := newRig(t, map[string]*haproxytest.Process{"a": a}, func(*agent.Backend) {})
			r.source.list(80, 81, 82)
			r.until("all in service", func() bool { return r.only("a", 80, 81, 82) == "" && r.inSync("a") })
			hadSessions := func() bool { // by the counters that are asked for below
				text, err := r.looks["a"].Raw(t.Context(), "show stat")
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for line := range strings.Lines(text) {
					if f := strings.Split(line, ","); len(f) > 7 && f[0] == "web" && slices.Contains([]string{"web1", "web2", "web3"}, f[1]) && f[7] != "0" {
						n++
					}
				}
				return n == 3
			}
			for n := 0; n < 20 && !hadSessions(); n++ { // each gets one at last, and nobody listens there
				answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", front))
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
			}
			for _, dir := range []string{r.opts.StateDir, t.TempDir()} {
				r.stop()
				if _, err := r.looks["a"].Raw(t.Context(), "set server web/web3 state maint"); err != nil {
					t.Fatal(err)
				}
				r.opts.StateDir = dir
				r.start()
				r.source.list(80, 81, 82)
				r.until("one that somebody took", func() bool { return r.inSync("a") && r.agent.Status().Instances[0].External == 1 })
				if wrong := r.only("a", 80, 81); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}

// answering has an agent for agent-checks answer them, and returns their keywords.
func answering(t *testing.T, word func() string) string {
	t.Helper()
	at := haproxytest.Answer(t, "tcp", func(c net.Conn) { fmt.Fprintln(c, word()) })
	return fmt.Sprintf(" agent-check agent-addr 127.0.0.1 agent-port %d agent-inter 50ms", at.(*net.TCPAddr).Port)
}

// What an agent takes out stays out until it brings it back.
func TestRealAgentTakesOut(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			var says atomic.Value
			says.Store("ready")
			text := configuration(template("web", 1, 3, host+answering(t, func() string { return says.Load().(string) }))...)
			a := haproxytest.Start(t, haproxytest.Config{Version: version, Text: text})
			r := newRig(t, map[string]*haproxytest.Process{"a": a}, func(*agent.Backend) {})
			r.source.list(80)
			for range 2 {
				says.Store("ready")
				r.until("in service", func() bool { return r.only("a", 80) == "" && r.inSync("a") })
				says.Store("maint")
				r.until("taken out by its agent", func() bool {
					if _, err := r.agent.Sync(t.Context()); err != nil {
						t.Fatal(err)
					}
					slot := r.agent.Status().Backends[0].Slots[0].Instances[0]
					return r.only("a") == "" && slot.HeldBy == "external" && r.inSync("a")
				})
			}
		})
	}
}

// An agent that says ready brings nobody back, and its weights stop nothing.
func TestRealAgentChecks(t *testing.T) {
	var share atomic.Int32
	tail := host + answering(t, func() string { return fmt.Sprintf("ready up %d%%", 20+share.Add(1)%60) })
	everyVersion(t, configuration(template("web", 1, 5, tail)...), func(t *testing.T, a *haproxytest.Process) {
		r := newRig(t, map[string]*haproxytest.Process{"a": a}, func(*agent.Backend) {})
		steady := func(ports ...int) {
			t.Helper()
			r.source.list(ports...)
			r.until(fmt.Sprint(ports), func() bool { return r.only("a", ports...) == "" && r.inSync("a") })
		}
		stays := func(d time.Duration, ports ...int) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if wrong := r.only("a", ports...); wrong != "" {
					t.Fatal(wrong)
				}
			}
		}
		steady(80, 81)
		for range 5 {
			stays(300*time.Millisecond, 80, 81)
			if _, err := r.agent.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		steady(80, 81, 82)
		steady(80)
		stays(500*time.Millisecond, 80) // ten answers of its agent
		a.Restart()
		steady(80, 83)
		if p := r.agent.Status().Backends[0].Problem; p != "" {
			t.Errorf("problem: %s", p)
		}
	})
}

// Where HAProxy's own resolvers have the slots nothing is written, before they have taken
// an address away and after.
func TestRealResolvers(t *testing.T) {
	text := configuration(append([]string{"resolvers dead", "  nameserver a 127.0.0.1:1", "  timeout retry 100ms", "  timeout resolve 100ms", "  hold timeout 300ms", "  hold other 300ms",
		"defaults inherited", "  mode http", "  timeout connect 1s", "  timeout client 5s", "  timeout server 5s", "  default-server resolvers dead"}, template("web", 1, 3, host)...)...)
	everyVersion(t, text, func(t *testing.T, a *haproxytest.Process) {
		r := newRig(t, map[string]*haproxytest.Process{"a": a}, func(*agent.Backend) {})
		r.source.list(80)
		r.until("the remedy", func() bool {
			return strings.Contains(r.agent.Status().Backends[0].Problem, "remove `resolvers`") && !r.inSync("a")
		})
		time.Sleep(time.Second)
		if got, servers, err := r.serves("a"); err != nil || len(got) > 0 {
			t.Errorf("shows %+v, %v", servers, err)
		}
		a.Config.Text = configuration(template("web", 1, 3, host)...)
		a.Restart()
		r.until("a filled slot", func() bool { return r.only("a", 80) == "" && r.inSync("a") })
	})
}
