package dns

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// What came along of one family says nothing of the other, and what is left out is
// asked for: nothing flaps.
func TestD41GlueThatLacksAFamily(t *testing.T) {
	setup := func(t *testing.T) (*world, *Source) {
		w := newWorld(one)
		w.put("SRV _web._tcp.test", []string{"1 1 80 a.test."}, one)
		w.put("A a.test", []string{"10.0.0.1"}, one)
		w.put("AAAA a.test", []string{"2001:db8::1"}, one)
		w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN A 10.0.0.1", "a.test. 5 IN AAAA 2001:db8::1"}
		return w, w.source(t, srv, one)
	}
	t.Run("it flips", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			for i := range 12 {
				wantStrong(t, next(t, s), "10.0.0.1:80", "[2001:db8::1]:80")
				w.change(func() {
					w.servers[one].extra["SRV _web._tcp.test"] = []string{
						"a.test. 5 IN A 10.0.0.1", "a.test. 5 IN AAAA 2001:db8::1"}[i%2 : i%2+1]
				})
			}
		})
	})
	t.Run("only IPv6 comes along", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN AAAA 2001:db8::1"}
			wantStrong(t, next(t, s), "10.0.0.1:80", "[2001:db8::1]:80")
			w.fail(one, "A", "SERVFAIL")
			r := next(t, s)
			wantPart(t, r, "A of a.test:80", discovery.Unknown, "SERVFAIL")
			wantPart(t, r, "AAAA of a.test:80", discovery.Whole, "", "[2001:db8::1]:80")
		})
	})
	t.Run("the family goes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			next(t, s)
			w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN A 10.0.0.1"}
			w.put("AAAA a.test", nil, one)
			wantStrong(t, next(t, s), "10.0.0.1:80")
		})
	})
	t.Run("glue lacks what the name has", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.put("A a.test", []string{"10.0.0.1", "10.0.0.2"}, one)
			w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN A 10.0.0.1", "a.test. 5 IN A 10.0.0.2"}
			wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80")
			w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN A 10.0.0.1"}
			wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80")
		})
	})
	t.Run("a family that nobody has is asked for seldom", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.put("AAAA a.test", nil, one)
			w.servers[one].extra["SRV _web._tcp.test"] = []string{"a.test. 5 IN A 10.0.0.1"}
			s.client.options.MinRefresh, s.client.options.MaxRefresh = time.Second, time.Second
			for range 20 {
				wantStrong(t, next(t, s), "10.0.0.1:80")
			}
			if n := w.count("udp " + one + " A "); n > 0 {
				t.Errorf("%d questions for what came along", n)
			}
		})
	})
}

// The IPv4 address is refused by the backend's policy: the IPv6 one serves.
func TestD43PreferenceComesAfterPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		w.put("A x.test", []string{"10.0.0.1"}, one)
		w.put("AAAA x.test", []string{"2001:db8::1"}, one)
		w.put("SRV _web._tcp.test", []string{"1 1 80 x.test."}, one)
		for _, q := range []Query{{Record: "x.test", Port: 80, Family: discovery.PreferV4}, {Record: "_web._tcp.test", Family: discovery.PreferV4}} {
			r := next(t, w.source(t, q, one))
			p := discovery.Policy{Family: discovery.PreferV4}
			kept, _ := p.Select(r.Endpoints())
			wantAddrs(t, discovery.Complete(kept...), "10.0.0.1:80")
			p.Deny = append(p.Deny, mustPrefix("10.0.0.0/8"))
			kept, _ = p.Select(r.Endpoints())
			wantAddrs(t, discovery.Complete(kept...), "[2001:db8::1]:80")
		}
	})
}

// A weight is shared by the addresses that a target has, and does not change because
// one family is in trouble.
func TestWeightsInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		w.put("SRV _web._tcp.test", []string{"1 10 80 a.test.", "1 6 80 b.test."}, one)
		w.put("A a.test", []string{"10.0.0.1"}, one)
		w.put("AAAA a.test", []string{"2001:db8::1"}, one)
		w.put("A b.test", []string{"10.0.0.2"}, one)
		s := w.source(t, srv, one)
		if got := weights(next(t, s)); !slices.Equal(got, []int{5, 6, 5}) {
			t.Errorf("weights %v", got)
		}
		w.fail(one, "AAAA a.test", "SERVFAIL")
		if got := weights(next(t, s)); !slices.Equal(got, []int{5, 6}) {
			t.Errorf("weights %v", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		w.put("SRV _web._tcp.test", []string{"1 10 80 a.test.", "1 6 80 b.test."}, one)
		w.put("A a.test", []string{"10.0.0.1"}, one)
		w.put("AAAA a.test", []string{"2001:db8::1"}, one)
		w.put("A b.test", []string{"10.0.0.2"}, one)
		s := w.source(t, Query{Record: "_web._tcp.test", Family: discovery.PreferV4}, one)
		if got := weights(next(t, s)); !slices.Equal(got, []int{10, 6, 10}) {
			t.Errorf("with IPv4 preferred: weights %v", got)
		}
	})
}

// More targets than may be asked for at a time whose second family did not come along.
func TestManyFamiliesThatDidNotComeAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		var targets, extra []string
		for i := range 2*maxTargets + 10 {
			targets = append(targets, fmt.Sprintf("1 1 80 t%d.test.", i))
			extra = append(extra, fmt.Sprintf("t%d.test. 5 IN A 10.0.%d.%d", i, i/250, 1+i%250))
			w.put(fmt.Sprintf("AAAA t%d.test", i), []string{fmt.Sprintf("2001:db8::%x", i+1)}, one)
		}
		w.put("SRV _web._tcp.test", targets, one)
		w.servers[one].extra["SRV _web._tcp.test"] = extra
		s := w.source(t, srv, one)
		k := discoverytest.Keeper{}
		for i := range 3 {
			r := next(t, s)
			got := k.Take(r)
			if want := len(targets) + min((i+1)*maxTargets, len(targets)); len(got) != want {
				t.Errorf("round %d: %d endpoints, want %d", i, len(got), want)
			}
			if n := w.count("udp " + one + " AAAA"); n > maxTargets {
				t.Errorf("%d questions", n)
			}
		}
	})
}

// Many targets of a zone that is silent take nobody's place: an instance of the other
// zone joins without waiting for them.
func TestManySilentTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one)
		var targets []string
		for i := range 200 {
			targets = append(targets, fmt.Sprintf("1 1 80 s%d.test.", i))
			w.fail(one, fmt.Sprintf("s%d.test", i), "silent")
		}
		targets = append(targets, "1 1 80 a.test.")
		w.put("SRV _web._tcp.test", targets, one)
		w.put("A a.test", []string{"10.0.0.1"}, one)
		s := w.source(t, Query{Record: srv.Record, Family: discovery.OnlyV4}, one)
		k := discoverytest.Keeper{}
		for begin := time.Now(); len(k.Take(next(t, s))) == 0; {
			if time.Since(begin) > time.Minute {
				t.Fatal("it never comes")
			}
		}
		for range 10 {
			next(t, s)
		}
		for i := range 5 {
			a := fmt.Sprintf("10.0.1.%d", i+1)
			w.put("A a.test", []string{a}, one)
			begin := time.Now()
			for !slices.Equal(k.Take(next(t, s)), []string{at(a)}) {
				if time.Since(begin) > 7*time.Second {
					t.Fatalf("%s is not there after %v", a, time.Since(begin))
				}
			}
		}
	})
}
