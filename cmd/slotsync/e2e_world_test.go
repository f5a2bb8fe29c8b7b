package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A listing is a source that lists what a test tells it to.
type listing struct {
	mu   sync.Mutex
	eps  []discovery.Endpoint
	news chan struct{}
}

func newListing(eps ...discovery.Endpoint) *listing {
	l := &listing{news: make(chan struct{}, 1)}
	l.Set(eps)
	return l
}

// Set makes the source list eps from now on.
func (l *listing) Set(eps []discovery.Endpoint) {
	l.mu.Lock()
	l.eps = slices.Clone(eps)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// Next returns what is listed, when that was set anew.
func (l *listing) Next(ctx context.Context) (discovery.Reading, error) {
	select {
	case <-ctx.Done():
		return discovery.Reading{}, ctx.Err()
	case <-l.news:
		return l.Confirm(ctx)
	}
}

// Confirm returns what is listed.
func (l *listing) Confirm(context.Context) (discovery.Reading, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return discovery.Complete(slices.Clone(l.eps)...), nil
}

// String names the source.
func (l *listing) String() string { return "a test's listing" }

// An edge is one real HAProxy, as the examples set it up, with the name that
// the agent calls it by.
type edge struct {
	*haproxytest.Process
	name, frontend string
}

const edgeText = `global
	stats socket {socket} mode 600 level admin expose-fd listeners
	stats timeout 30s
	stats maxconn 50
	server-state-base {dir}/state
defaults
	mode http
	timeout connect 1s
	timeout client 30s
	timeout server 30s
	load-server-state-from-file local
	retries 3
	retry-on conn-failure
	option redispatch 1
	option idle-close-on-response
frontend http
	bind %s
	default_backend web
backend web
	balance roundrobin
	option httpchk GET %s
	server-state-file-name use-backend-name
	server-template web 1-100 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 check inter 2s
`

// newEdge starts a HAProxy with a master.
func newEdge(tb testing.TB, version, name string) *edge {
	tb.Helper()
	frontend := fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(tb))
	text := fmt.Sprintf(edgeText, frontend, checkPath)
	p := haproxytest.Start(tb, haproxytest.Config{Version: version, Master: true, Text: text})
	return &edge{Process: p, name: name, frontend: frontend}
}

func (e *edge) target() traffic.Target { return traffic.Target{Name: e.name, Addr: e.frontend} }

// listens reports whether the frontend takes connections.
func (e *edge) listens() bool {
	conn, err := net.Dial("tcp", e.frontend)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// instance is e for an agent.
func (e *edge) instance(tb testing.TB) agent.Instance {
	return instanceAt(tb, e.name, haproxy.Options{Socket: e.Socket, StateFile: filepath.Join(e.StateDir(), "{backend}")})
}

func instanceAt(tb testing.TB, name string, o haproxy.Options) agent.Instance {
	tb.Helper()
	client, err := haproxy.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return agent.Instance{Name: name, Conn: client, Key: name}
}

// A reader looks at the slots of a HAProxy past the agent.
type reader struct{ client *haproxy.Client }

func newReader(tb testing.TB, socket string) reader {
	tb.Helper()
	client, err := haproxy.New(haproxy.Options{Socket: socket})
	if err != nil {
		tb.Fatal(err)
	}
	return reader{client}
}

// Ready returns the addresses of the backend web that take traffic, sorted.
func (r reader) Ready(ctx context.Context) ([]string, error) {
	v, err := r.client.View(ctx, []string{"web"}, false)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range v.Servers["web"] {
		if s.Class == slots.Ready {
			out = append(out, s.Addr.String())
		}
	}
	slices.Sort(out)
	return out, nil
}

// Differs says how the slots differ from eps; "" if they do not.
func (r reader) Differs(ctx context.Context, eps []discovery.Endpoint) string {
	got, err := r.Ready(ctx)
	if err != nil {
		return err.Error()
	}
	n, want := len(got), addresses(eps)
	lacks := slices.DeleteFunc(slices.Clone(want), func(a string) bool { return slices.Contains(got, a) })
	got = slices.DeleteFunc(got, func(a string) bool { return slices.Contains(want, a) })
	if len(lacks) == 0 && len(got) == 0 && n == len(want) {
		return ""
	}
	return fmt.Sprintf("of %d addresses it lacks %q; of its %d ready slots %q are no such", len(want), lacks, n, got)
}

// waitUntil polls until done, and returns how long that took. It is an error
// if that is longer than most.
func waitUntil(ctx context.Context, most time.Duration, done func() bool) (time.Duration, error) {
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Since(start) > most {
			return time.Since(start), fmt.Errorf("not within %s", most)
		}
		select {
		case <-ctx.Done():
			return time.Since(start), ctx.Err()
		case <-tick.C:
		}
	}
	return time.Since(start), nil
}
