package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// standInsTest is a test where the endpoints 80 and 81 are in web1 and web2 at one instance, and
// in web101 and web102 at the other.
func standInsTest(t *testing.T, body func(w *world, b *fakeConn)) {
	t.Helper()
	a, b := newFake("a", "web", 3), newFake("b", "web", 3)
	b.with(func() {
		b.servers["web"] = templateOf(slots.Range{Prefix: "web", First: 101, Last: 103}, "slot.invalid")
	})
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		w.want(b, "web101=:80 web102=:81")
		body(w, b)
		w.want(a, "web1=:80 web2=:81")
	}, a, b)
}

// staysUntilGivenBack fails the test if the slot is not out of service at b, or is not shown to be somebody's,
// or does not serve once an operator gave it back.
func (w *world) staysUntilGivenBack(b *fakeConn) {
	w.t.Helper()
	w.pass(time.Minute)
	w.want(b, "web101=:80")
	if row := w.status().Backends[0].Slots[1].Instances[1]; row.Name != "web102" || row.HeldBy != "external" {
		w.t.Errorf("shown as %+v", row)
	}
	w.state("127.0.0.9:81", api.StateReady, api.Who{})
	w.settle()
	w.want(b, "web101=:80 web102=:81")
}

// TestStandInTakenOut: what somebody does to a slot that stands in for the one of the table
// counts like what is done to that.
func TestStandInTakenOut(t *testing.T) {
	out := func(b *fakeConn) {
		b.set("web102", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
	}
	for name, do := range map[string]func(w *world, b *fakeConn){
		"while the agent runs":             func(_ *world, b *fakeConn) { out(b) },
		"while it does not":                func(w *world, b *fakeConn) { w.stop(); out(b); w.start(); w.source.list(80, 81) },
		"and it is killed before it looks": func(w *world, b *fakeConn) { out(b); w.crash(); w.start(); w.source.list(80, 81) },
		"and it is restarted twice, and no source speaks": func(w *world, b *fakeConn) {
			out(b)
			said := w.source.reading
			for range 2 {
				w.crash()
				w.source = newMute()
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				w.pass(time.Minute)
			}
			w.source.say(said, nil)
		},
		"and HAProxy lacks the backend for a while": func(w *world, b *fakeConn) {
			out(b)
			w.pass(time.Minute)
			var own []slots.Server
			b.with(func() { own = b.servers["web"]; delete(b.servers, "web"); b.process.Pid++ })
			w.pass(time.Minute)
			w.source.list(80, 81, 82)
			w.source.list(80, 81)
			w.settle()
			b.with(func() { b.servers["web"] = own; b.process.Pid++ })
		},
	} {
		t.Run(name, func(t *testing.T) {
			standInsTest(t, func(w *world, b *fakeConn) { do(w, b); w.staysUntilGivenBack(b) })
		})
	}
}

// TestStandInOperatedInSilence: before a source has spoken again, operators reach slots that stand
// in, and no others.
func TestStandInOperatedInSilence(t *testing.T) {
	standInsTest(t, func(w *world, b *fakeConn) {
		b.set("web102", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.state("127.0.0.9:80", api.StateDrain, api.Who{})
		w.pass(time.Minute)
		w.want(b, "web101=:80/drain")
		w.state("127.0.0.9:80", api.StateReady, api.Who{})
		w.staysUntilGivenBack(b)
	})
}

// TestStandInBesideATakeover: the slot of the table may be there and hold an address that is left
// alone.
func TestStandInBesideATakeover(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		w.stop()
		b.restart(false)
		b.set("web1", func(s *slots.Server) { s.Class, s.Addr = slots.Ready, addr(99) })
		b.set("web2", func(s *slots.Server) { s.Class, s.Addr = slots.Ready, addr(81) })
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(b, "web1=:99 web2=:81 web3=:80")
		w.stop()
		b.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(b, "web1=:99 web2=:81")
		w.state("127.0.0.9:81", api.StateMaint, api.Who{})
		w.pass(time.Minute)
		w.crash() // and no source speaks for a while, as an operator's request goes on
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(b, "web1=:99")
	}, a, b)
}
