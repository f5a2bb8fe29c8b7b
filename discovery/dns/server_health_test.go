package dns

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const three = "192.0.2.3:53"

func TestOrder(t *testing.T) {
	servers := []string{one, two, three}
	synctest.Test(t, func(t *testing.T) {
		var r serverHealth
		want := func(what string, want ...string) {
			t.Helper()
			alive, out := r.order(servers, false)
			if got := append(alive, out...); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		fail := func(server string, times int) {
			for range times {
				asked := time.Now()
				time.Sleep(time.Millisecond)
				r.failed(server, asked)
			}
		}
		want("at first", one, two, three)
		r.prefer(two)
		want("the good one first", two, three, one)
		fail(two, maxFails-1)
		want("two failures", two, three, one)
		r.succeeded(two)
		fail(two, maxFails-1)
		want("not in a row", two, three, one)
		fail(two, 1)
		want("three in a row", three, one, two)
		if got := r.others(servers, three); !slices.Equal(got, []string{one}) {
			t.Errorf("other live servers: %v", got)
		}
		time.Sleep(outTime)
		want("its time is over", two, three, one)
		fail(two, 1)
		want("and it fails again", three, one, two)
		r.succeeded(two)
		want("it answers", two, three, one)
		for _, s := range servers {
			fail(s, maxFails)
		}
		want("all are out", two, three, one)
	})
}

// What is lost in one moment is one failure.
func TestFailuresAtOneTimeAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r serverHealth
		asked := time.Now()
		for range 64 {
			time.Sleep(time.Millisecond)
			r.failed(one, asked)
		}
		if h := r.by[one]; h.fails != 1 || !h.demotedUntil.IsZero() {
			t.Errorf("%+v", h)
		}
	})
}

func TestRosterIsBounded(t *testing.T) {
	var r serverHealth
	var d preferTCP
	for i := range 3 * maxPreferTCP {
		r.failed(fmt.Sprint(i), time.Now())
		d.set(fmt.Sprint(i), "a test", time.Minute)
	}
	if len(r.by) > maxHealth || len(d.by) > maxPreferTCP {
		t.Errorf("%d servers, %d names", len(r.by), len(d.by))
	}
}

// answering is a script in which only these servers answer; what they say is
// what records holds then.
func answering(records *[]string, servers ...string) script {
	return func(_, server string, q *wire.Msg) *wire.Msg {
		if !slices.Contains(servers, server) {
			return nil
		}
		return answer(q, *records...)
	}
}

const first2, second2 = "x.test. 5 IN A 10.0.0.1", "x.test. 5 IN A 10.0.0.2"

// A server that is dead is no second opinion, and must not keep back for ever
// what the others say.
func TestRemovalsWithADeadServer(t *testing.T) {
	for name, alive := range map[string][]string{
		"the first of two is dead": {two}, "the second of two is dead": {one}, "two of three are dead": {three},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := []string{one, two}
				if alive[0] == three {
					servers = append(servers, three)
				}
				records := []string{first2, second2}
				s := scripted(t, answering(&records, alive...), servers...)
				wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
				records = records[:1]
				begin := time.Now()
				for r := next(t, s); ; r = next(t, s) {
					if len(gaps(r)) == 0 {
						wantAddrs(t, r, "10.0.0.1:80")
						break
					}
				}
				t.Logf("it took %v", time.Since(begin))
				if d := time.Since(begin); d > 20*time.Second {
					t.Errorf("it took %v", d)
				}
				r, err := s.Confirm(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				wantStrong(t, r, "10.0.0.1:80")
			})
		})
	}
}

// A second server that has only failures to tell about a name is no second opinion,
// and keeps nothing back: the first one is asked again, over TCP.
func TestRemovalsWithAServerThatRefuses(t *testing.T) {
	for name, rcode := range map[string]int{"REFUSED": wire.RcodeRefused, "SERVFAIL": wire.RcodeServerFailure, "NXDOMAIN": wire.RcodeNameError} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := []string{first2, second2}
				networks := ""
				s := scripted(t, func(network, server string, q *wire.Msg) *wire.Msg {
					if server == two {
						return new(wire.Msg).SetRcode(q, rcode)
					}
					networks += network + " "
					return answer(q, records...)
				}, one, two)
				wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
				records, networks = records[:1], ""
				wantStrong(t, next(t, s), "10.0.0.1:80")
				if networks != "udp tcp " {
					t.Errorf("the first was asked over %s", networks)
				}
			})
		})
	}
}

// A live server is asked for its opinion, not the same one again.
func TestSecondOpinionIsOfALiveServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := []string{first2, second2}
		var asked []string
		s := scripted(t, func(network, server string, q *wire.Msg) *wire.Msg {
			asked = append(asked, network+" "+server)
			return answering(&records, one, three)(network, server, q)
		}, one, two, three)
		for range maxFails {
			s.client.servers.failed(two, time.Now().Add(time.Second))
		}
		next(t, s)
		records, asked = records[:1], nil
		wantStrong(t, next(t, s), "10.0.0.1:80")
		if want := []string{"udp " + one, "udp " + three}; !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
	})
}

// Soon after trouble a server may not have all of its records again.
func TestNothingIsMissedSoonAfterTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := []string{first2, second2}
		broken := false
		s := scripted(t, func(_, _ string, q *wire.Msg) *wire.Msg {
			if broken {
				return nil
			}
			return answer(q, records...)
		}, one)
		next(t, s)
		broken = true
		wantError(t, s, discovery.Transport)
		broken, records = false, records[:1]
		back := time.Now()
		r := next(t, s)
		wantWeak(t, r, "10.0.0.1:80")
		for len(gaps(r)) > 0 {
			r = next(t, s)
		}
		wantAddrs(t, r, "10.0.0.1:80")
		if d := time.Since(back); d < settleTime || d > settleTime+6*time.Second {
			t.Errorf("missed after %v", d)
		}
	})
}
