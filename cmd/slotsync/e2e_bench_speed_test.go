package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const (
	benchRounds  = 300
	benchBursts  = 20
	benchStaff   = 40 // endpoints of the service that some leave,
	benchLeavers = 10 // so many one by one
	benchSlots   = 10 // of the backends that are filled, and more than fit
	benchMany    = 1000
	// benchPatience is how long a contestant may take before it has failed.
	benchPatience = 10 * time.Second
	// barePatience is how long one may take that does not look whether it worked.
	barePatience = 2 * time.Second
)

// BenchmarkSpeed measures slotsync against scripts that do the least, on two
// real HAProxys of each version and a real Consul. Whatever b.N is, all rounds
// are run once: 300, or as many as SLOTSYNC_ROUNDS says.
//
// The contestants take turns in random order, each on a service and a backend
// of its own in the same processes. Filling begins when Consul's answer passes a
// relay, and ends when the second HAProxy logs that a connection which waited in
// the backend's queue is established to the new endpoint. Removal ends when the
// second HAProxy logs that the server goes down for maintenance. The kernel says
// when it took a log line, and nothing polls: what is measured is not disturbed
// by measuring.
func BenchmarkSpeed(b *testing.B) {
	rounds := benchRounds
	if text := os.Getenv("SLOTSYNC_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < benchLeavers {
			b.Fatalf("SLOTSYNC_ROUNDS=%s is no number from %d on", text, benchLeavers)
		}
	}
	for _, v := range haproxytest.Versions {
		b.Run("haproxy="+v, func(b *testing.B) {
			t := speed(b, v, rounds, min(rounds, benchBursts))
			t.print(os.Stdout, "HAProxy "+v)
			t.metrics(b)
		})
	}
}

// TestBenchSmoke holds that all contestants do their work, whatever the time.
func TestBenchSmoke(t *testing.T) { // by itself, as what it tries is to run
	for _, v := range haproxytest.Versions {
		t.Run(v, func(t *testing.T) {
			table := speed(t, v, benchLeavers, 1)
			for _, row := range table {
				for who, times := range row.times {
					if len(times)+row.lost[who] != row.rounds && (len(times) > 0 || who == slotsyncRuns) {
						t.Errorf("%s: %s has done %d of %d rounds", row.what, contestants[who], len(times), row.rounds)
					}
				}
			}
		})
	}
}

// speed runs everything with one version.
func speed(tb testing.TB, version string, rounds, bursts int) benchTable {
	r := newBenchRig(tb, version)
	fill := benchRow{what: "registration until both serve it", rounds: rounds}
	leave := benchRow{what: fmt.Sprintf("removal (%d endpoints, %d leave) until no new traffic", benchStaff, benchLeavers), rounds: rounds}
	burst := benchRow{what: fmt.Sprintf("burst of %d into both, to the last read-back", benchMany), rounds: bursts}
	stop := r.compete()
	for n := range rounds {
		for who := range r.inOrder() {
			took, done := r.filled(r.lanes[who], who, n)
			fill.addIf(who, took, done)
		}
	}
	for left := rounds; left > 0; left -= benchLeavers {
		r.staff()
		for range min(left, benchLeavers) {
			for who := range r.inOrder() {
				leave.add(who, r.left(r.lanes[who]))
			}
		}
	}
	stop()
	r.bursts(&burst, bursts)
	return benchTable{fill, leave, burst}
}

// inOrder yields the contestants in random order, each after a random gap.
func (r *benchRig) inOrder() func(func(int) bool) {
	return func(yield func(int) bool) {
		for _, who := range rand.Perm(len(contestants)) {
			r.pause(5*time.Millisecond + rand.N(45*time.Millisecond))
			if !yield(who) {
				return
			}
		}
	}
}

// filled registers an endpoint and returns how long after Consul's answer both
// HAProxys lead to it. Then it takes the endpoint away. A script that does not read back
// may lose an address for ever, as with HAProxy 3.4 now and then: done is false then.
func (r *benchRig) filled(l *benchLane, who, n int) (took time.Duration, done bool) {
	r.tb.Helper()
	host := r.host()
	stop := r.listen(fmt.Sprintf("%s:%d", host, r.port), func(c net.Conn) {
		_, _ = io.WriteString(c, benchHello) // HAProxy may have gone
	})
	id := fmt.Sprintf("%s-%d", l.fills, n)
	waiting := r.queue(l)
	r.consul.Register(l.fills, id, host, r.port)
	patience := benchPatience
	if who == bareRuns {
		patience = barePatience
	}
	at, done := r.loggedWithin(patience, l.fills, host)
	switch {
	case done:
		took = r.since(l.fillRelay, at)
	case who != bareRuns:
		r.tb.Fatalf("not logged within %s: %s %s", patience, l.fills, host)
	}
	waiting.Wait()
	stop()
	r.consul.Deregister(id)
	r.logged(l.fills, goesDown)
	return took, done
}

// staff brings the services that endpoints leave to full strength.
func (r *benchRig) staff() {
	r.tb.Helper()
	for _, l := range r.lanes {
		for len(l.staff) < benchStaff {
			r.address++
			id := fmt.Sprintf("%s-%d", l.leaves, r.address)
			r.consul.Register(l.leaves, id, r.host(), r.port)
			r.logged(l.leaves, comesUp)
			l.staff = append(l.staff, id)
		}
	}
}

// left takes one endpoint away and returns how long after Consul's answer
// neither HAProxy uses it any more.
func (r *benchRig) left(l *benchLane) time.Duration {
	r.tb.Helper()
	n := rand.N(len(l.staff))
	id := l.staff[n]
	l.staff = append(l.staff[:n], l.staff[n+1:]...)
	r.consul.Deregister(id)
	return r.since(l.leaveRelay, r.logged(l.leaves, goesDown))
}
