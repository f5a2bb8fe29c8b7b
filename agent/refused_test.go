package agent

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// refusals are n things that a source names and that must not be used.
func refusals(from, n int) []discovery.Rejection {
	var out []discovery.Rejection
	for i := range n {
		out = append(out, discovery.Rejection{Reason: discovery.LinkLocal, Name: fmt.Sprintf("web-%d", from+i), Value: "169.254.0.1:80"})
	}
	return out
}

// TestRejectionsAreToldOnce: new ones are named, ten of an answer, and the others counted.
func TestRejectionsAreToldOnce(t *testing.T) {
	const one, more = "endpoint rejected: it gets no traffic", "more endpoints rejected: they get no traffic"
	inWorld(t, func(w *world) {
		w.opts.Poll, w.opts.Resync = time.Minute, time.Hour
		say := func(list []discovery.Rejection, ports ...int) {
			r := discovery.Complete(eps(ports...)...)
			r.Rejected = list
			w.source.say(r, nil)
			w.pass(time.Minute) // what changes nothing is asked for less and less
		}
		told := func(ones, mores int) {
			w.t.Helper()
			if a, b := w.warned.of(one), w.warned.of(more); a != ones || b != mores {
				w.t.Errorf("%d lines and %d summaries, want %d and %d", a, b, ones, mores)
			}
		}
		w.source.reading = discovery.Complete(eps(80)...)
		w.source.reading.Rejected = refusals(0, 1010)
		w.start()
		told(10, 1)
		for i := range 20 { // the same of them, in answers that differ and that do not
			say(refusals(0, 1010), 80+i/2)
		}
		told(10, 1)
		say(refusals(0, 1012), 80)
		told(12, 1)
		w.source.fail()
		w.settle()
		say(refusals(0, 1012), 80)
		told(12, 1)
		say(nil, 80)
		say(refusals(2000, 11), 80)
		told(22, 2)
		if n := len(w.status().Sources[0].Rejected); n != 11 {
			w.t.Errorf("%d rejections are shown", n)
		}
	}, newFake("a", "web", 10))
}

// TestRefusedByPolicyAreToldOnce: what the backend does not take is told alike.
func TestRefusedByPolicyAreToldOnce(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.opts.Poll, w.opts.Resync = time.Minute, time.Hour
		w.opts.Backends[0].Policy.Deny = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		list := eps(80)
		for i := range 1010 {
			list = append(list, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)}), 80)})
		}
		w.source.reading = discovery.Complete(list...)
		w.start()
		for i := range 10 {
			w.source.say(discovery.Complete(append(eps(81+i), list...)...), nil)
			w.pass(time.Minute)
		}
		if ones, mores := w.warned.of("endpoint rejected: it gets no traffic"), w.warned.of("more endpoints rejected: they get no traffic"); ones != 10 || mores != 1 {
			w.t.Errorf("%d lines and %d summaries", ones, mores)
		}
	}, a)
}
