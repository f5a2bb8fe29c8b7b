package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// nodes starts a server of Consul and n nodes with one instance of web each.
func nodes(t *testing.T, n int) (*consultest.Server, []*consultest.Server) {
	t.Helper()
	server := consultest.Start(t)
	var out []*consultest.Server
	for i := range n {
		node := server.Join(t)
		node.Register("web", fmt.Sprintf("web-%d", i), "127.0.0.9", 8000+i)
		out = append(out, node)
	}
	return server, out
}

// leave stops a node's agent, and sees to it that its instances are gone: an agent that
// leaves may register itself once more, which Consul undoes by itself only a minute later.
func leave(t *testing.T, server, node *consultest.Server) {
	t.Helper()
	node.Stop()
	client, err := consulapi.NewClient(&consulapi.Config{Address: server.HTTPAddr()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Catalog().Deregister(&consulapi.CatalogDeregistration{Node: node.Node()}, nil); err != nil {
		t.Fatal(err)
	}
}

// serviceBackend fills a backend of HAProxy from a service.
func serviceBackend(t *testing.T, server *consultest.Server, name string, q consul.Query, guard guard.Rules) agent.Backend {
	t.Helper()
	client, err := consul.NewClient(consul.Options{Address: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	source, err := client.Source(q)
	if err != nil {
		t.Fatal(err)
	}
	return agent.Backend{
		Name: name, Proxy: name, Prefix: name, Guard: guard,
		Feeds: []agent.Feed{{Name: "consul", Source: source, Key: name}},
	}
}

// A lookout remembers the fewest ready slots that HAProxy had in each backend, and
// the kinds of hold that the agent had there.
type lookout struct {
	rig    *rig
	client *haproxy.Client
	stop   context.CancelFunc
	done   chan struct{}
	fewest map[string]int
	held   map[string]string
	err    error
}

// look begins to look, until the test ends or seen is called.
func look(t *testing.T, r *rig, socket string) *lookout {
	t.Helper()
	client, err := haproxy.New(haproxy.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &lookout{rig: r, client: client, stop: cancel, done: make(chan struct{}), fewest: map[string]int{}, held: map[string]string{}}
	t.Cleanup(func() { l.seen(t) })
	go func() {
		defer close(l.done)
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for l.err == nil && ctx.Err() == nil {
			l.err = l.see(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return l
}

func (l *lookout) see(ctx context.Context) error {
	var names []string
	for _, b := range l.rig.agent.Status().Backends {
		names = append(names, b.Name)
		if b.Hold != nil {
			l.held[b.Name] = b.Hold.Kind
		}
	}
	v, err := l.client.View(ctx, names, false)
	if ctx.Err() != nil {
		return nil
	}
	for _, name := range names {
		n := 0
		for _, s := range v.Servers[name] {
			if s.Class == slots.Ready {
				n++
			}
		}
		if before, ok := l.fewest[name]; err == nil && (!ok || n < before) {
			l.fewest[name] = n
		}
	}
	return err
}

// seen ends the looking, and returns what was seen.
func (l *lookout) seen(t *testing.T) (fewest map[string]int, held map[string]string) {
	t.Helper()
	l.stop()
	<-l.done
	if l.err != nil {
		t.Errorf("look at HAProxy: %v", l.err)
	}
	return l.fewest, l.held
}

// filled says what keeps HAProxy's backends from having that many ready slots.
func filled(t *testing.T, socket string, want map[string]int) func() string {
	return func() string {
		t.Helper()
		for name, n := range want {
			if got := ready(t, socket, name); len(got) != n {
				return fmt.Sprintf("%s has %d ready slots, want %d: %v", name, len(got), n, got)
			}
		}
		return ""
	}
}

// TestC36RollingRestartOfNodes restarts the agents of all nodes one by one, as an
// upgrade does. Each leaves first: its instances are gone for seconds, those of a
// service that has no others too. No backend is ever without a ready slot for it.
func TestC36RollingRestartOfNodes(t *testing.T) {
	t.Parallel()
	n := 3
	if long() {
		n = 8
	}
	server, all := nodes(t, n)
	all[0].Register("solo", "solo-1", "127.0.0.9", 9000)
	p := haproxytest.Start(t, haproxytest.Config{Backends: []haproxytest.Backend{{Name: "web", Slots: 10}, {Name: "solo", Slots: 4}}})
	r := newRig(t, map[string]string{"edge": p.Socket},
		serviceBackend(t, server, "web", consul.Query{Service: "web"}, guard.Rules{}),
		serviceBackend(t, server, "solo", consul.Query{Service: "solo"}, guard.Rules{}))
	r.start()
	full := filled(t, p.Socket, map[string]int{"web": n, "solo": 1})
	eventually(t, 20*time.Second, full)

	l := look(t, r, p.Socket)
	less := filled(t, p.Socket, map[string]int{"web": n - 1, "solo": 1})
	for i, node := range all {
		leave(t, server, node)
		eventually(t, 30*time.Second, func() string {
			if h := r.backend("solo").Hold; i == 0 && (h == nil || h.Kind != "empty") {
				return fmt.Sprintf("solo is not held as empty: %+v", h)
			}
			return less()
		})
		node.Restart(true)
		eventually(t, 30*time.Second, full)
	}
	fewest, held := l.seen(t)
	if fewest["web"] != n-1 || fewest["solo"] != 1 || held["solo"] != "empty" || held["web"] != "" {
		t.Errorf("while nodes were restarted, ready slots were as few as %v, holds %v", fewest, held)
	}
	if h := r.backend("solo").Hold; h != nil {
		t.Errorf("in the end a removal is held: %+v", h)
	}
}

// TestC40NodesLostAtOnce kills the agents of three nodes of five, which serfHealth
// says one after the other within a second, while the services themselves are
// passing. The guard lets two go and holds the rest until that is confirmed for as
// long as it has to be; a backend that ignores the health of nodes does not even
// notice.
func TestC40NodesLostAtOnce(t *testing.T) {
	t.Parallel()
	server, all := nodes(t, 5)
	var backends []haproxytest.Backend
	for _, name := range []string{"web", "brief", "steady"} {
		backends = append(backends, haproxytest.Backend{Name: name, Slots: 10})
	}
	p := haproxytest.Start(t, haproxytest.Config{Backends: backends})
	r := newRig(t, map[string]string{"edge": p.Socket},
		serviceBackend(t, server, "web", consul.Query{Service: "web"}, guard.Rules{}),
		serviceBackend(t, server, "brief", consul.Query{Service: "web"}, guard.Rules{RemovalHold: 2 * time.Second}),
		serviceBackend(t, server, "steady", consul.Query{Service: "web", IgnoreNodeHealth: true}, guard.Rules{}))
	r.start()
	full := filled(t, p.Socket, map[string]int{"web": 5, "brief": 5, "steady": 5})
	eventually(t, 20*time.Second, full)

	l := look(t, r, p.Socket)
	lost := all[:3]
	for _, node := range lost {
		node.Kill()
	}
	eventually(t, 20*time.Second, func() string {
		if h := r.backend("web").Hold; h == nil || h.Kind != "removal" || len(h.WouldRemove) == 0 {
			return fmt.Sprintf("web holds no removal: %+v", h)
		}
		return ""
	})
	held := time.Now()
	eventually(t, 20*time.Second, filled(t, p.Socket, map[string]int{"brief": 2, "steady": 5}))
	t.Logf("a hold of 2 s was confirmed and ended %s after one of 30 s had begun", time.Since(held).Round(10*time.Millisecond))
	if h := r.backend("web").Hold; h == nil || len(ready(t, p.Socket, "web")) < 3 {
		t.Errorf("web does not hold on to more than half: %+v", h)
	}
	for _, node := range lost {
		node.Restart(true)
	}
	eventually(t, 20*time.Second, full)
	eventually(t, 15*time.Second, func() string {
		if h := r.backend("web").Hold; h != nil {
			return fmt.Sprintf("all nodes are back, and it still holds %+v", h)
		}
		return ""
	})
	fewest, kinds := l.seen(t)
	if fewest["web"] < 3 || fewest["brief"] != 2 || fewest["steady"] != 5 || kinds["steady"] != "" {
		t.Errorf("ready slots were as few as %v, holds %v", fewest, kinds)
	}
}

// backend is the status of one.
func (r *rig) backend(name string) api.BackendStatus {
	all := r.agent.Status().Backends
	i := slices.IndexFunc(all, func(b api.BackendStatus) bool { return b.Name == name })
	if i < 0 {
		r.tb.Fatalf("there is no backend %s", name)
	}
	return all[i]
}
