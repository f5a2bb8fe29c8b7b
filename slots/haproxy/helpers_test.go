package haproxy_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A hap is a HAProxy, real or made up.
type hap interface {
	Restart()
	Stop() (cont func())
}

type real struct{ *haproxytest.Process }

type fake struct{ *haproxytest.Fake }

func (f fake) Restart()            { f.Fake.Restart() }
func (f fake) Stop() (cont func()) { return f.Hang() }

// A target is a HAProxy with a relay before it.
type target struct {
	hap
	version string
	socket  string // past the relay
	relay   *haproxytest.Relay
	client  *haproxy.Client
}

// everywhere runs body over every version, real and made up.
func everywhere(t *testing.T, backends []haproxytest.Backend, body func(t *testing.T, on *target)) {
	t.Helper()
	for _, version := range haproxytest.Versions {
		t.Run("fake-"+version, func(t *testing.T) {
			f := haproxytest.NewFake(t, version, backends...)
			body(t, newTarget(t, version, f.Socket, fake{f}))
		})
		t.Run("real-"+version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: backends})
			body(t, newTarget(t, version, p.Socket, real{p}))
		})
	}
}

func newTarget(t *testing.T, version, socket string, h hap) *target {
	t.Helper()
	relay := haproxytest.NewRelay(t, socket)
	return &target{hap: h, version: version, socket: socket, relay: relay, client: client(t, relay.Socket)}
}

func client(t testing.TB, socket string) *haproxy.Client {
	t.Helper()
	c, err := haproxy.New(haproxy.Options{Socket: socket, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (on *target) view(t *testing.T, backends ...string) slots.View {
	t.Helper()
	v, err := on.client.View(t.Context(), backends, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// apply makes changes, which must not fail as a whole.
func (on *target) apply(t *testing.T, seen slots.Process, changes ...slots.Change) slots.Outcome {
	t.Helper()
	out, err := on.client.Apply(t.Context(), seen, changes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fills fills the first n slots of a backend.
func fills(v slots.View, backend string, n int) []slots.Change {
	var list []slots.Change
	for i, s := range v.Servers[backend][:n] {
		list = append(list, fill(backend, s, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)))
	}
	return list
}

func fill(backend string, s slots.Server, a netip.AddrPort) slots.Change {
	return slots.Change{Backend: backend, Slot: s.Name, Kind: slots.Fill, Addr: a, Weight: s.Initial,
		Class: slots.Ready, SetClass: true, From: s}
}

// served maps the slots that take traffic to their addresses.
func served(list []slots.Server) map[string]string {
	m := make(map[string]string)
	for _, s := range list {
		if s.Class == slots.Ready {
			m[s.Name] = s.Addr.String()
		}
	}
	return m
}

func find(t *testing.T, v slots.View, backend, name string) slots.Server {
	t.Helper()
	for _, s := range v.Servers[backend] {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no server %s/%s in %v", backend, name, v.Servers)
	return slots.Server{}
}

// causes lists refusals as "slot cause".
func causes(out slots.Outcome) []string {
	list := []string{}
	for _, r := range out.Refusals {
		list = append(list, r.Change.Slot+" "+string(r.Cause))
	}
	return list
}

// writes counts the commands in a transcript that change something.
func writes(transcript []string) int {
	n := 0
	for _, said := range transcript {
		n += strings.Count(said, "set server ")
	}
	return n
}

func wantFault(t *testing.T, err error, want slots.Fault, sent bool) {
	t.Helper()
	if f, s := slots.FaultOf(err); err == nil || f != want || s != sent {
		t.Errorf("got %v (sent %v); want %s (sent %v)", err, s, want, sent)
	}
}

func shortly(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func addr(format string, args ...any) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf(format, args...))
}
