package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestOldWorkerTakesNothing(t *testing.T) {
	f, on := made(t, "2.6")
	v := on.view(t, "web")
	f.StopWorker()
	for _, later := range []time.Duration{0, aWhile} {
		time.Sleep(later)
		before, said := f.String(), len(f.Transcript())
		_, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 1))
		if fault, _ := slots.FaultOf(err); fault != slots.Restarted {
			t.Errorf("got %v", err)
		}
		if f.String() != before {
			t.Errorf("after %s: an old worker was changed:\n%s", later, f)
		}
		if lines := strings.Join(f.Transcript()[said:], "\n"); later > 0 && strings.Contains(lines, "set server") {
			t.Errorf("an old worker was sent\n%s", lines)
		}
	}
	if v := on.view(t, "web"); !v.Process.Stopping {
		t.Errorf("got %+v", v.Process)
	}
}

// aWhile is after what a process said last is believed to be of now.
const aWhile = 100 * time.Millisecond

func TestAnotherProcessTakesNothing(t *testing.T) {
	f, on := made(t, "3.2")
	v := on.view(t, "web")
	f.Reload()
	time.Sleep(aWhile)
	before := f.String()
	_, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 4))
	if fault, _ := slots.FaultOf(err); fault != slots.Restarted {
		t.Errorf("got %v", err)
	}
	if f.String() != before {
		t.Errorf("a process that was not seen was changed:\n%s", f)
	}
}

// A reload between the last word of a process and the first line of changes
// lets one line through, and no second.
func TestReloadUnderway(t *testing.T) {
	f, on := made(t, "3.2")
	v := on.view(t, "web")
	f.Reload()
	_, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 40))
	if fault, _ := slots.FaultOf(err); fault != slots.Restarted {
		t.Errorf("got %v", err)
	}
	if n := strings.Count(f.String(), "\n"); n > 41 || strings.Contains(f.String(), " 4 100") {
		t.Errorf("a slot is ready in a process that was not meant:\n%s", f)
	}
}

// Whatever part of an answer arrives: it is an error that says whether commands
// went out, or the whole of it.
func TestCutAnswers(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			f, on := made(t, version)
			v := on.view(t, "web")
			for n := 0; n < 6000; n += 1 + n/8 {
				if _, err := on.client.Info(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.CutAnswers(n)
				out, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 3))
				f.CutAnswers(-1)
				if err == nil {
					if len(out.Refusals) != 0 || len(served(out.View.Servers["web"])) != 3 {
						t.Errorf("%d bytes: %v, %v", n, out.Refusals, served(out.View.Servers["web"]))
					}
					continue
				}
				if fault, _ := slots.FaultOf(err); fault != slots.Garbled && fault != slots.Restarted {
					t.Errorf("%d bytes: %v", n, err)
				}
				if len(out.View.Servers) != 0 {
					t.Errorf("%d bytes: a view besides %v", n, err)
				}
			}
		})
	}
}

// Killed at any byte of a batch: no slot is ready at an address that was not
// meant for it, and the next process is filled.
func TestKilledWhileWriting(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{web}})
			on := newTarget(t, version, p.Socket, real{p})
			for range 5 {
				v := on.view(t, "web")
				n := rnd.IntN(4000)
				on.relay.CutAfter(n, p.Kill)
				_, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 40))
				if fault, _ := slots.FaultOf(err); err == nil || fault != slots.Garbled && fault != slots.Absent && fault != slots.Restarted {
					t.Fatalf("%d bytes: %v", n, err)
				}
				p.Restart()
				v = on.view(t, "web")
				out := on.apply(t, v.Process, fills(v, "web", 40)...)
				if len(out.Refusals) != 0 || len(served(out.View.Servers["web"])) != 40 {
					t.Fatalf("%d bytes: %v", n, causes(out))
				}
				p.Restart()
			}
		})
	}
}

func TestConnectionsRunOut(t *testing.T) {
	f, _ := made(t, "3.2")
	resume := f.Hang()
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	// one that is taken in late makes room for another
	refused := 0
	for tick := time.Tick(time.Millisecond); refused < 50 && len(held) < 50; {
		conn, err := net.Dial("unix", f.Socket)
		if err != nil {
			refused++
			<-tick
			continue
		}
		held, refused = append(held, conn), 0
	}
	if len(held) > 25 {
		t.Fatalf("%d connections are taken", len(held))
	}
	_, err := client(t, f.Socket).Info(t.Context())
	wantFault(t, err, slots.Crowded, false)
	resume()
	for _, c := range held {
		c.Close()
	}
	held = nil
	// those that waited are served, and only then is there room
	c := client(t, f.Socket)
	for tick := time.Tick(time.Millisecond); ; <-tick {
		_, err := c.Info(t.Context())
		if err == nil {
			return
		}
		wantFault(t, err, slots.Crowded, false)
		if t.Context().Err() != nil || t.Failed() {
			return
		}
	}
}

func TestCancelled(t *testing.T) {
	f, on := made(t, "3.2")
	v := on.view(t, "web")
	defer f.Hang()()
	ctx, cancel := context.WithCancel(t.Context())
	defer context.AfterFunc(ctx, func() {})()
	go cancel()
	_, err := on.client.Apply(ctx, v.Process, fills(v, "web", 1))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTimeout(t *testing.T) {
	f, _ := made(t, "2.6")
	c, err := haproxy.New(haproxy.Options{Socket: f.Socket, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.View(t.Context(), []string{"web"}, false)
	if err != nil {
		t.Fatal(err)
	}
	resume := f.Hang()
	_, err = c.View(t.Context(), []string{"web"}, false)
	wantFault(t, err, slots.Hung, false)
	f.Forget()
	_, err = c.Apply(t.Context(), v.Process, fills(v, "web", 1))
	wantFault(t, err, slots.Hung, false)
	resume()
	if !haproxytest.Reads(f.Transcript()) {
		t.Errorf("written to a HAProxy that hangs: %q", f.Transcript())
	}
}

// A line that was sent and not answered says so.
func TestHungWhileWriting(t *testing.T) {
	f, on := made(t, "3.2")
	c, err := haproxy.New(haproxy.Options{Socket: on.relay.Socket, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.View(t.Context(), []string{"web"}, false)
	if err != nil {
		t.Fatal(err)
	}
	resume := f.Hang()
	defer resume()
	_, err = c.Apply(t.Context(), v.Process, fills(v, "web", 1))
	if fault, sent := slots.FaultOf(err); fault != slots.Hung || !sent {
		// asking took more than 50 ms: then the probe is what hangs
		if fault != slots.Hung || writes(on.relay.Transcript()) != 0 {
			t.Errorf("got %v", err)
		}
	}
}

func TestManyBackends(t *testing.T) {
	var list []haproxytest.Backend
	for i := range 500 {
		list = append(list, haproxytest.Backend{Name: fmt.Sprintf("a-backend-with-a-long-name-%d", i), Prefix: "s", Slots: 2})
	}
	f := haproxytest.NewFake(t, "3.2", list...)
	on := newTarget(t, "3.2", f.Socket, fake{f})
	var names []string
	for _, b := range list {
		names = append(names, b.Name)
	}
	f.SetSessions(names[499], "s2", 7)
	v, err := on.client.View(t.Context(), names, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Servers[names[499]]; len(v.Servers) != 500 || got[0].Sessions != 0 || got[1].Sessions != 7 {
		t.Fatalf("got %d backends, %+v", len(v.Servers), got)
	}
	var changes []slots.Change
	for _, b := range names {
		changes = append(changes, fills(v, b, 2)...)
	}
	out := on.apply(t, v.Process, changes...)
	if len(out.Refusals) != 0 || len(out.View.Servers) != 500 {
		t.Errorf("got %d refusals, %d backends", len(out.Refusals), len(out.View.Servers))
	}
}

// A frontend of the backend's name must not hide the sessions of its servers: a
// slot would never be idle then.
func TestSessionsBehindAFrontendOfTheSameName(t *testing.T) {
	for _, version := range haproxytest.Versions {
		if version == "3.4" {
			continue // it refuses such a configuration
		}
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{
				Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 3}},
				Extra: fmt.Sprintf("frontend web\n  bind 127.0.0.1:%d\n  default_backend web\n", haproxytest.FreePort(t)),
			})
			c, err := haproxy.New(haproxy.Options{Socket: p.Socket})
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.View(t.Context(), []string{"web"}, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range v.Servers["web"] {
				if s.Sessions != 0 {
					t.Errorf("%s: %d sessions", s.Name, s.Sessions)
				}
			}
		})
	}
}
