package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

var onlyA = Query{Record: "x.test", Type: TypeA, Port: 80}

// fourTargets has a service of t1 to t4 at these servers, each with an IPv4 address.
func fourTargets(w *world, servers ...string) {
	var targets []string
	for i := range 4 {
		targets = append(targets, fmt.Sprintf("1 1 80 t%d.test.", i+1))
		w.put(fmt.Sprintf("A t%d.test", i+1), []string{fmt.Sprintf("10.0.0.%d", i+1)}, servers...)
	}
	w.put("SRV _web._tcp.test", targets, servers...)
}

// How a server that has a name may fail about it.
var failures = []string{"silent", "closed", "SERVFAIL", "REFUSED", "NOTIMP"}

// A server that never had a target has no say about it, whatever happens to the one
// that had it.
func TestD39LostTargetIsNotDenied(t *testing.T) {
	for _, trouble := range failures {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(one, two)
				fourTargets(w, one)
				s := w.source(t, srv, one, two)
				k := discoverytest.Keeper{}
				wantKept(t, k, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
				w.fail(one, "t4.test", trouble)
				for range 5 {
					r := next(t, s)
					wantKept(t, k, r, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
					if p := partOf(t, r, "A of t4.test:80"); p.State != discovery.Unknown {
						t.Fatalf("%+v", p)
					}
					wantPart(t, r, "A of t1.test:80", discovery.Whole, "", "10.0.0.1:80")
				}
				w.fail(one, "t4.test", "")
				w.put("A t4.test", nil, one) // it says so itself
				time.Sleep(settleTime)
				for range 4 {
					k.Take(next(t, s))
				}
				wantKept(t, k, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
			})
		})
	}
}

// A public server says NXDOMAIN of everything; the one that knows the zone fails. That
// proves nothing, not after a restart either. It does once the second server has shown
// the name.
func TestD38WhoNeverHadItHasNoSay(t *testing.T) {
	for _, trouble := range failures {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(one, two)
				w.put("A x.test", []string{"10.0.0.1"}, one)
				s := w.source(t, onlyA, one, two)
				wantStrong(t, next(t, s), "10.0.0.1:80")
				w.fail(one, "", trouble)
				for _, s := range []*Source{s, restarted(t, w, s, onlyA)} {
					for range 2 {
						r, err := s.Next(t.Context())
						if err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), "it had this; NXDOMAIN from "+two) {
							t.Fatalf("got %v %v", r, err)
						}
						if _, err := s.Confirm(t.Context()); err == nil {
							t.Fatal("confirmed")
						}
					}
				}
			})
		})
	}
	t.Run("one of those that had it is enough", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(one, two)
			w.put("A x.test", []string{"10.0.0.1"}, one, two)
			s := w.source(t, onlyA, one, two)
			for range 20 { // a survey comes by
				wantStrong(t, next(t, s), "10.0.0.1:80")
			}
			w.put("A x.test", nil, one, two)
			w.fail(one, "", "silent")
			for _, s := range []*Source{restarted(t, w, s, onlyA), s} {
				wantPart(t, next(t, s), "A of x.test", discovery.Whole, "")
			}
		})
	})
	t.Run("D44 nobody ever had it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(one, two)
			s := w.source(t, onlyA, one, two)
			for range 3 {
				wantPart(t, next(t, s), "A of x.test", discovery.Partial, "none yet: NXDOMAIN from 2 servers")
			}
			w.put("A x.test", []string{"10.0.0.1"}, two)
			wantStrong(t, next(t, s), "10.0.0.1:80")
		})
	})
	t.Run("the strongest read says otherwise", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(one)
			w.put("A x.test", []string{"10.0.0.1"}, one)
			s := w.source(t, onlyA, one)
			wantStrong(t, next(t, s), "10.0.0.1:80")
			w.fail(one, "udp", "NXDOMAIN")
			wantStrong(t, next(t, s), "10.0.0.1:80")
			w.fail(one, "tcp", "silent")
			wantPart(t, next(t, s), "A of x.test", discovery.Partial, "NXDOMAIN from "+one+", and no second answer")
		})
	})
}

// IPv4 is served, joins and leaves whatever IPv6 does, and the other way round.
func TestD18FamiliesAreParts(t *testing.T) {
	for _, trouble := range failures {
		for _, c := range []struct {
			sick, fit  string
			old, newer string
		}{{"AAAA", "A", "10.0.0.1", "10.0.0.2"}, {"A", "AAAA", "2001:db8::1", "2001:db8::2"}} {
			t.Run(c.sick+" "+trouble, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(one, two)
					q := Query{Record: "x.test", Port: 80}
					w.put(c.fit+" x.test", []string{c.old}, one, two)
					w.fail(one, c.sick, trouble)
					w.fail(two, c.sick, trouble)
					s := w.source(t, q, one, two)
					for i, s := range []*Source{s, restarted(t, w, s, q)} {
						w.put(c.fit+" x.test", []string{c.old}, one, two)
						begin := time.Now()
						r := next(t, s)
						wantPart(t, r, c.fit+" of x.test", discovery.Whole, "", at(c.old))
						if p := partOf(t, r, c.sick+" of x.test"); p.State != discovery.Unknown {
							t.Fatalf("%+v", p)
						}
						if d := time.Since(begin); d > 2*time.Second {
							t.Errorf("%d: waited %v for the other family", i, d)
						}
						w.put(c.fit+" x.test", []string{c.old, c.newer}, one, two)
						begin = time.Now()
						wantPart(t, next(t, s), c.fit+" of x.test", discovery.Whole, "", at(c.old), at(c.newer))
						if d := time.Since(begin); d > 6*time.Second+grace {
							t.Errorf("%d: came after %v", i, d)
						}
						w.put(c.fit+" x.test", []string{c.newer}, one, two)
						wantPart(t, next(t, s), c.fit+" of x.test", discovery.Whole, "", at(c.newer))
					}
				})
			})
		}
	}
}

func at(a string) string { return netip.AddrPortFrom(netip.MustParseAddr(a), 80).String() }

// One target that does not resolve is one part: the others fill, join and leave.
func TestD23OneTargetThatDoesNotResolve(t *testing.T) {
	for _, trouble := range append(failures, "NXDOMAIN") {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(one)
				fourTargets(w, one)
				w.fail(one, "t4.test", trouble)
				s := w.source(t, srv, one)
				k := discoverytest.Keeper{}
				r := next(t, s)
				wantKept(t, k, r, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
				state := discovery.Unknown
				if trouble == "NXDOMAIN" {
					state = discovery.Partial
				}
				p := partOf(t, r, "A of t4.test:80")
				if p.State != state || p.Parent != "SRV of _web._tcp.test" || p.Reason() == "" {
					t.Errorf("%+v", p)
				}
				if remarks := strings.Join(s.Activity().Remarks, "\n"); !strings.Contains(remarks, "A of t4.test:80: ") {
					t.Errorf("remarks %q", remarks)
				}
				w.put("SRV _web._tcp.test", []string{"1 1 80 t2.test.", "1 1 80 t4.test.", "1 1 80 t5.test."}, one)
				w.put("A t5.test", []string{"10.0.0.5"}, one)
				begin := time.Now()
				wantKept(t, k, next(t, s), "10.0.0.2:80", "10.0.0.5:80")
				if d := time.Since(begin); d > 6*time.Second {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

// What answers late is read as soon as it is there, and keeps nobody waiting.
func TestD45LatePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one, two)
		fourTargets(w, one, two)
		w.fail(one, "t4.test", "silent")
		w.fail(two, "t4.test", "silent")
		s := w.source(t, srv, one, two)
		s.client.options.MinRefresh, s.client.options.MaxRefresh = time.Minute, time.Minute
		begin := time.Now()
		r := next(t, s)
		wantPart(t, r, "A of t4.test:80", discovery.Unknown, "it is still waited for")
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("the first reading after %v", d)
		}
		w.fail(two, "t4.test", "")
		if r = next(t, s); partOf(t, r, "A of t4.test:80").State == discovery.Unknown {
			r = next(t, s) // the other family came first
		}
		wantPart(t, r, "A of t4.test:80", discovery.Whole, "", "10.0.0.4:80")
		if d := time.Since(begin); d > 7*time.Second {
			t.Errorf("the late one after %v", d)
		}
	})
}

// Removals are confirmed by who has the name, whatever another server says of it.
func TestD40RotateWithAServerThatLacksTheName(t *testing.T) {
	for _, trouble := range append(failures, "NXDOMAIN", "NODATA") {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("192.0.2.1:53", "192.0.2.2:53")
				s, _ := searching(t, nil)
				s.client.exchange = w.exchange
				s, err := s.client.Source(Query{Record: "x.test.", Type: TypeA, Port: 80})
				must(t, err)
				s.client.file.current.rotate = true
				w.put("A x.test", []string{"10.0.0.1", "10.0.0.2"}, one)
				w.fail(two, "x.test", trouble)
				for range 3 {
					wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
				}
				w.put("A x.test", []string{"10.0.0.1"}, one)
				wantStrong(t, next(t, s), "10.0.0.1:80")
			})
		})
	}
}

// NODATA without an SOA record counts if the server shows that it has the name.
func TestNoDataWithoutSOA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		w.put("A x.test", []string{"10.0.0.1"}, one)
		w.put("AAAA x.test", []string{"2001:db8::1"}, one)
		s := w.source(t, Query{Record: "x.test", Port: 80}, one)
		next(t, s)
		w.fail(one, "AAAA", "bare NODATA")
		r := next(t, s)
		wantPart(t, r, "AAAA of x.test", discovery.Whole, "")
		wantPart(t, r, "A of x.test", discovery.Whole, "", "10.0.0.1:80")
		w.fail(one, "A", "bare NODATA")
		wantPart(t, next(t, s), "A of x.test", discovery.Partial, "proves nothing")
	})
}

// Soon after the service's own name was in trouble, what it leads to is not missed.
func TestTargetsAreNotMissedSoonAfterTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		fourTargets(w, one)
		s := w.source(t, srv, one)
		next(t, s)
		w.fail(one, "", "SERVFAIL")
		wantError(t, s, discovery.Server)
		w.fail(one, "", "")
		w.put("A t4.test", nil, one)
		back := time.Now()
		r := next(t, s)
		wantPart(t, r, "A of t4.test:80", discovery.Partial, "failed until shortly before")
		for len(gaps(r)) > 0 {
			r = next(t, s)
		}
		wantPart(t, r, "A of t4.test:80", discovery.Whole, "")
		if d := time.Since(back); d < settleTime || d > settleTime+12*time.Second {
			t.Errorf("missed after %v", d)
		}
	})
}
