package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// Three confirmations that have nothing in common confirm nothing: of six that are gone
// two others are back for a moment each second, so that each was seen within the hold.
func TestConfirmationsThatDisagree(t *testing.T) {
	t.Parallel()
	consulServer := consultest.Start(t)
	put := func(gone bool, of ...int) {
		t.Helper()
		var regs []consultest.Registration
		for _, i := range of {
			regs = append(regs, consultest.Registration{Service: "web", ID: fmt.Sprintf("web-%d", i), Addr: "127.0.0.9", Port: 8000 + i, Gone: gone})
		}
		if err := consulServer.Put(t.Context(), regs...); err != nil {
			t.Fatal(err)
		}
	}
	put(false, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	hold := 5 * time.Second
	r, socket := fills(t, "3.2", func(b *agent.Backend) { b.Guard.RemovalHold = hold }, consulSource(t, consul.Options{Address: consulServer.URL()}, "web"))
	all := filled(t, socket, map[string]int{"web": 10})
	eventually(t, 15*time.Second, all)
	held := func(of ...int) func() string {
		var want []string
		for _, i := range of {
			want = append(want, fmt.Sprintf("127.0.0.9:%d", 8000+i))
		}
		return func() string {
			if h := r.backend("web").Hold; h == nil || !slices.Equal(h.WouldRemove, want) {
				return fmt.Sprintf("%+v is held, want %v", h, want)
			}
			return ""
		}
	}
	put(true, 0, 1, 2, 3, 4, 5) // at once: else the first of them are few enough to go
	began := time.Now()
	eventually(t, 15*time.Second, held(0, 1, 2, 3, 4, 5))
	back := []int{0, 1, 2, 3, 4, 5}
	for time.Since(began) < 2*hold {
		round := time.Now()
		put(false, back[:2]...)
		others := slices.Sorted(slices.Values(back[2:]))
		eventually(t, 15*time.Second, held(others...))
		put(true, back[:2]...)
		eventually(t, 15*time.Second, held(0, 1, 2, 3, 4, 5))
		during(t, time.Second-time.Since(round), all)
		back = slices.Concat(back[2:], back[:2])
	}
	put(false, 0, 2, 4) // while the others stay away: these go, and no others
	eventually(t, 6*hold, serves(t, socket, "127.0.0.9:8000", "127.0.0.9:8002", "127.0.0.9:8004", "127.0.0.9:8006", "127.0.0.9:8007", "127.0.0.9:8008", "127.0.0.9:8009"))
}

// Nine of ten are replaced at once by servers that are dead: the old ones stay until it
// is confirmed that they are gone. By servers that work: until those have shown it.
func TestNineOfTenAreReplaced(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version string) {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 30, Check: "check inter 300ms"}}})
		source := &toldSource{next: make(chan []discovery.Endpoint, 1), said: make(chan time.Time, 9)}
		r := newRig(t, map[string]string{"edge": p.Socket}, backendOf(source))
		var old, working []discovery.Endpoint
		for range 10 {
			old, working = append(old, listening(t)), append(working, listening(t))
		}
		dead := loopback(9000, 10)
		both := func(a, b []discovery.Endpoint) []string { return addresses(slices.Concat(a, b)) }
		source.next <- old
		r.start()
		eventually(t, 15*time.Second, serves(t, p.Socket, addresses(old)...))
		source.next <- slices.Concat(old[:1], dead[1:])
		eventually(t, 15*time.Second, serves(t, p.Socket, both(old, dead[1:])...))
		during(t, 6*time.Second, serves(t, p.Socket, both(old, dead[1:])...)) // longer than a server is up before its first check
		if h := r.backend("web").Hold; h == nil || h.Kind != "removal" || len(h.WouldRemove) != 9 {
			t.Errorf("held: %+v", h)
		}
		source.next <- slices.Concat(old[:1], working[1:])
		eventually(t, 15*time.Second, serves(t, p.Socket, both(old, working[1:])...))
		eventually(t, 15*time.Second, serves(t, p.Socket, both(old[:1], working[1:])...))
	})
}

// What is accepted is what was shown: what goes missing afterwards stays held.
func TestAcceptedIsWhatWasShown(t *testing.T) {
	t.Parallel()
	consulServer := consultest.Start(t)
	for i := range 10 {
		consulServer.Register("web", fmt.Sprintf("web-%d", i), "127.0.0.9", 8000+i)
	}
	r, socket := fills(t, "3.0", nil, consulSource(t, consul.Options{Address: consulServer.URL()}, "web"))
	eventually(t, 15*time.Second, filled(t, socket, map[string]int{"web": 10}))
	shown := func(n int) (h *api.Hold) {
		eventually(t, 15*time.Second, func() string {
			if h = r.backend("web").Hold; h == nil || len(h.WouldRemove) < n {
				return fmt.Sprintf("held: %+v", h)
			}
			return ""
		})
		return h
	}
	for i := range 7 {
		consulServer.Deregister(fmt.Sprintf("web-%d", i))
	}
	first := shown(2) // some went before it was too many
	left := len(ready(t, socket, "web"))
	for i := 7; i < 10; i++ {
		consulServer.Deregister(fmt.Sprintf("web-%d", i))
	}
	shown(len(first.WouldRemove) + 3)
	done, err := r.agent.Accept(t.Context(), "web", first.ID, "ann")
	if err != nil || len(done.Removed) != len(first.WouldRemove) {
		t.Fatalf("%+v, %v; shown were %v", done, err, first.WouldRemove)
	}
	eventually(t, 15*time.Second, filled(t, socket, map[string]int{"web": left - len(first.WouldRemove)}))
	during(t, 2*time.Second, filled(t, socket, map[string]int{"web": left - len(first.WouldRemove)}))
}

// A service that was never deployed is ready for what comes; one whose name is misspelt
// changes nothing at an HAProxy that serves.
func TestNoneYetAndMisspelt(t *testing.T) {
	t.Parallel()
	consulServer := consultest.Start(t)
	consulServer.Register("web", "web-0", "127.0.0.9", 8000)
	eachVersion(t, func(t *testing.T, version string) {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web"}, {Name: "new"}}})
		haproxytest.Ask(t, p.Socket, "set server web/web3 addr 127.0.0.8 port 7000;set server web/web3 state ready")
		source := func(service string) agent.Backend {
			b := backendOf(consulSource(t, consul.Options{Address: consulServer.URL()}, service))
			return b
		}
		web, fresh := source("web"), source("never-deployed")
		fresh.Name, fresh.Proxy, fresh.Prefix = "new", "new", "new"
		r := newRig(t, map[string]string{"edge": p.Socket}, web, fresh)
		r.start()
		eventually(t, 15*time.Second, func() string {
			s := r.agent.Status()
			if !s.Ready || s.Sources[1].State != "none yet" {
				return fmt.Sprintf("ready %v %v, %+v", s.Ready, s.NotReady, s.Sources)
			}
			return ""
		})
		during(t, 2*time.Second, serves(t, p.Socket, "127.0.0.8:7000")) // it lists none of what takes traffic
		h := r.backend("web").Takeover
		if h == nil || !h.BlocksWriting {
			t.Fatalf("takeover: %+v", h)
		}
		if _, err := r.agent.Accept(t.Context(), "web", h.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, serves(t, p.Socket, "127.0.0.9:8000"))
	})
}
