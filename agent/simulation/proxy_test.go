package simulation

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A proxy is one made-up HAProxy with its configuration. It outlives the agents that write
// to it.
type proxy struct {
	w        *world
	index    int
	name     string
	fake     *haproxytest.Fake
	backends []haproxytest.Backend
	files    string // the folder of the state files; "": none
	resume   func()
	faults   map[string]bool
	away     atomic.Bool
	commands int // of agents, that changed something
}

func newProxy(w *world, i int, s setting) *proxy {
	p := &proxy{w: w, index: i, name: string(rune('a' + i)), faults: map[string]bool{}}
	for j := range s.Backends {
		p.backends = append(p.backends, s.template(j, s.Slots))
	}
	if s.StateFiles {
		p.files = filepath.Join(w.dir, "haproxy-"+p.name)
		if err := os.MkdirAll(p.files, 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	p.fake = haproxytest.NewFakeInMemory(s.Versions[i], p.backends...)
	p.fake.SetNode("host-" + p.name)
	p.fake.OnExecuted(p.executed)
	return p
}

// template is the configuration of a backend that an HAProxy begins with.
func (s setting) template(backend, slots int) haproxytest.Backend {
	b := haproxytest.Backend{Name: backendName(backend), Prefix: "srv", Slots: slots}
	if s.Static {
		b.Static = []string{"static1"}
	}
	if s.Agents {
		b.Agent = "agent-check agent-port 9000"
	}
	return b
}

// executed tells the oracle what an agent did. The fake is locked.
func (p *proxy) executed(e haproxytest.Executed) {
	refused := e.Before != nil && e.After != nil && *e.Before == *e.After && strings.Contains(e.Reply, " ") && !strings.Contains(e.Reply, "changed")
	p.w.oracleDo(func(o *oracle.Oracle) {
		p.w.logf("%s< %s", p.name, e.Command)
		p.commands++
		o.Executed(e.At, oracle.Command{
			Instance: p.name, Backend: e.Backend, Text: e.Command, Refused: refused, Before: server(e.Before), After: server(e.After),
		})
	})
	p.w.mayDie()
}

func server(s *haproxytest.Server) *oracle.Server {
	if s == nil {
		return nil
	}
	out := &oracle.Server{Name: s.Name, State: s.State, Weight: s.Weight, Sessions: s.Sessions, Dynamic: s.Dynamic}
	out.Addr, _ = netip.ParseAddrPort(s.Addr)
	return out
}

// tell tells the oracle of another process.
func (p *proxy) tell() {
	all := p.servers()
	p.w.oracleDo(func(o *oracle.Oracle) { o.Process(time.Now(), p.name, all) })
}

// servers are all that it has.
func (p *proxy) servers() map[string][]oracle.Server {
	all := map[string][]oracle.Server{}
	for _, b := range p.backends {
		for _, s := range p.fake.Servers(b.Name) {
			all[b.Name] = append(all[b.Name], *server(&s))
		}
	}
	return all
}

// hand executes what somebody else sends.
func (p *proxy) hand(backend, name, format string, args ...any) {
	before := p.server(backend, name)
	text := fmt.Sprintf(format, args...)
	p.fake.Do(text)
	after := p.server(backend, name)
	p.w.oracleDo(func(o *oracle.Oracle) {
		o.Executed(time.Now(), oracle.Command{Instance: p.name, Backend: backend, Text: text, Before: before, After: after, Other: true})
	})
}

// agentSays has the agent of a server answer.
func (p *proxy) agentSays(backend, name, answer string) {
	before := p.server(backend, name)
	if !p.fake.AgentSays(backend, name, answer) {
		return
	}
	after := p.server(backend, name)
	p.w.logf("%s: the agent of %s/%s says %s", p.name, backend, name, answer)
	p.w.oracleDo(func(o *oracle.Oracle) {
		o.AgentSaid(time.Now(), oracle.Command{Instance: p.name, Backend: backend, Text: "agent " + answer, Before: before, After: after, Other: true})
	})
}

func (p *proxy) server(backend, name string) *oracle.Server {
	for _, s := range p.fake.Servers(backend) {
		if s.Name == name {
			return server(&s)
		}
	}
	return nil
}

// restart puts another process in place of the one that runs.
func (p *proxy) restart(filled bool) {
	path := func(string) string { return "" }
	if filled && p.files != "" {
		path = func(backend string) string { return filepath.Join(p.files, backend) }
	}
	p.fake.RestartFrom(path, p.backends...)
	p.tell()
}

// refill puts a process in place of the one that runs whose first slots somebody else has
// filled: with endpoints of the first source, and with addresses that no source lists.
func (p *proxy) refill(s step) {
	var text strings.Builder
	for i, b := range p.backends {
		pool := p.w.services[i][0].parts[0].pool
		for n := range 1 + s.c%4 {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 98, byte(i), byte(1 + n)}), 9000)
			if s.b>>n%2 == 0 {
				a = pool[n]
			}
			fmt.Fprintf(&text, "1 %s %d %s %s 2 0 100 100 1 1 0 0 0 0 0 0 - %d\n", b.Name, n+1, b.Slot(n+1), a.Addr(), a.Port())
		}
	}
	file := filepath.Join(p.w.dir, "refilled-"+p.name)
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
	p.fake.RestartFrom(func(string) string { return file }, p.backends...)
	p.tell()
}

// fault notes that something is wrong with it.
func (p *proxy) fault(kind string) {
	p.faults[kind] = true
	p.w.oracleDo(func(o *oracle.Oracle) { o.Faulty(time.Now(), p.name) })
}

// heal ends everything that is wrong with it.
func (p *proxy) heal() {
	if p.resume != nil {
		p.resume()
		p.resume = nil
	}
	p.away.Store(false)
	p.fake.CutAnswers(-1)
	p.fake.LoseAddrs(0)
	p.fake.SetDelay(300 * time.Microsecond)
	p.fake.SetLevel("admin")
	if len(p.faults) > 0 {
		clear(p.faults)
		p.w.oracleDo(func(o *oracle.Oracle) { o.Well(time.Now(), p.name) })
	}
}

// A life is one run of an agent. When it is killed nothing that it does has an effect any
// more.
type life struct {
	dead  atomic.Bool
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// kill ends l, and reports whether it lived.
func (l *life) kill() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead.Swap(true) {
		return false
	}
	for c := range l.conns {
		c.Close()
	}
	return true
}

// dial connects this life to the proxy.
func (l *life) dial(ctx context.Context, p *proxy) (net.Conn, error) {
	if p.away.Load() || l.dead.Load() {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	c, err := p.fake.Dial(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead.Load() {
		c.Close()
	}
	mortal := &mortalConn{c, l}
	l.conns[mortal] = true
	return mortal, nil
}

func (l *life) dialTo(p *proxy) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return l.dial(ctx, p) }
}

// A mortalConn belongs to a life.
type mortalConn struct {
	net.Conn
	life *life
}

func (c *mortalConn) Close() error {
	if c.life.dead.Load() {
		return c.Conn.Close() // the life closes it, and holds its lock
	}
	c.life.mu.Lock()
	delete(c.life.conns, c)
	c.life.mu.Unlock()
	return c.Conn.Close()
}

// A mortalClient writes no files after its life, and its disk may be slow.
type mortalClient struct {
	*haproxy.Client
	life *life
	disk func(func() error) error
}

// Sync brings what was saved to the disk.
func (c mortalClient) Sync() error { return c.disk(c.Client.Sync) }

func (c mortalClient) Save(backend string, servers []slots.Server) error {
	if c.life.dead.Load() {
		return nil
	}
	return c.Client.Save(backend, servers)
}
