package dns

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

const system = "192.0.2.9:53"

// outsideOf is a source of a world, on a machine that asks system.
func outsideOf(t *testing.T, w *world, q Query, servers ...string) *Source {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, "nameserver "+strings.TrimSuffix(system, ":53")+"\n")
	s := newSource(t, Options{Servers: servers, ResolvConf: path}, q)
	s.client.exchange = w.exchange
	s.placed = true
	return s
}

// The only answer is an alias of a name outside: a node of Consul with a host name as
// its address.
func TestD42AliasOfAnOutsideName(t *testing.T) {
	q := Query{Record: "db.service.consul", Type: TypeA, Port: 80}
	setup := func(t *testing.T) (*world, *Source) {
		w := newWorld(one, system)
		w.put("CNAME db.service.consul", []string{"db.example.org."}, one)
		w.fail(one, "db.example.org", "REFUSED")
		return w, outsideOf(t, w, q, one)
	}
	t.Run("the system's resolver knows it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.put("A db.example.org", []string{"10.0.0.1", "10.0.0.2"}, system)
			wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
			w.put("A db.example.org", []string{"10.0.0.2"}, system)
			wantStrong(t, next(t, s), "10.0.0.2:80")
			w.fail(system, "", "silent")
			_, err := s.Next(t.Context())
			if err == nil || !strings.Contains(err.Error(), "CNAME to db.example.org: ") || !strings.Contains(err.Error(), system) {
				t.Errorf("got %v", err)
			}
			w.fail(system, "", "")
			w.put("A db.example.org", nil, system)
			time.Sleep(time.Second)
			next(t, s)
			time.Sleep(settleTime)
			wantPart(t, next(t, s), "A of db.service.consul", discovery.Whole, "")
		})
	})
	t.Run("the servers themselves know it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.fail(one, "db.example.org", "")
			w.put("A db.example.org", []string{"10.0.0.1"}, one)
			w.put("A db.example.org", []string{"6.6.6.6"}, system)
			wantStrong(t, next(t, s), "10.0.0.1:80")
		})
	})
	t.Run("nobody knows it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s := setup(t)
			wantPart(t, next(t, s), "A of db.service.consul", discovery.Partial, "none yet: CNAME to db.example.org: NXDOMAIN")
		})
	})
	t.Run("nobody answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.fail(system, "", "SERVFAIL")
			_, err := s.Next(t.Context())
			if err == nil || !strings.Contains(err.Error(), "CNAME to db.example.org: "+one) || !strings.Contains(err.Error(), "the system's resolver: "+system) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("no end of aliases", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := setup(t)
			w.put("CNAME db.example.org", []string{"db.service.consul."}, system)
			w.put("CNAME db.service.consul", []string{"db.example.org."}, system)
			_, err := s.Next(t.Context())
			if discovery.ClassOf(err) != discovery.Protocol || !strings.Contains(err.Error(), "CNAME to db.service.consul: CNAME to db.example.org: ") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// One SRV record points outside, beside numeric ones.
func TestD42TargetOutside(t *testing.T) {
	for _, refusal := range []string{"REFUSED", "SERVFAIL", "NXDOMAIN"} {
		t.Run(refusal, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(one, system)
				w.put("SRV web.service.consul", []string{"1 1 80 0a000001.addr.dc1.consul.", "1 1 80 0a000002.addr.dc1.consul.", "1 1 80 ext.example.org."}, one)
				w.servers[one].extra["SRV web.service.consul"] = []string{"0a000001.addr.dc1.consul. 0 IN A 10.0.0.1", "0a000002.addr.dc1.consul. 0 IN A 10.0.0.2"}
				w.fail(one, "ext.example.org", refusal)
				w.fail(system, "", "silent")
				s := outsideOf(t, w, Query{Record: "web.service.consul", Type: TypeSRV}, one)
				k := discoverytest.Keeper{}
				wantKept(t, k, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
				k.Take(next(t, s)) // what was late
				if got := strings.Join(s.Activity().Remarks, "\n"); !strings.Contains(got, "A of ext.example.org:80: ") {
					t.Errorf("remarks %q", got)
				}
				w.put("SRV web.service.consul", []string{"1 1 80 0a000002.addr.dc1.consul.", "1 1 80 ext.example.org."}, one)
				for range 2 {
					k.Take(next(t, s))
				}
				wantKept(t, k, next(t, s), "10.0.0.2:80")
				w.fail(system, "", "")
				w.put("A ext.example.org", []string{"10.9.9.9"}, system)
				for range 2 {
					k.Take(next(t, s))
				}
				wantKept(t, k, next(t, s), "10.0.0.2:80", "10.9.9.9:80")
			})
		})
	}
}

// The system's resolver is not asked for names that the servers have, nor when they
// only fail.
func TestInsideNamesStayInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one, system)
		fourTargets(w, one)
		w.put("A t4.test", []string{"6.6.6.6"}, system)
		s := outsideOf(t, w, srv, one)
		w.fail(one, "t4.test", "SERVFAIL")
		wantAddrs(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		w.fail(one, "t4.test", "")
		next(t, s)
		w.fail(one, "t4.test", "REFUSED")
		wantAddrs(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		if n := w.count("udp " + system); n > 0 {
			t.Errorf("%d questions", n)
		}
	})
}

// The port of Consul's DNS is published for UDP alone.
func TestD22ConsulOverUDPAlone(t *testing.T) {
	for _, trouble := range []string{"closed", "silent"} {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(one)
				q := Query{Record: "web.service.consul", Type: TypeA, Port: 80}
				w.put("A web.service.consul", []string{"10.0.0.1", "10.0.0.2"}, one)
				w.fail(one, "tcp", trouble)
				s := w.source(t, q, one)
				k := discoverytest.Keeper{}
				r := next(t, s)
				wantKept(t, k, r, "10.0.0.1:80", "10.0.0.2:80")
				wantWeak(t, r, "10.0.0.1:80", "10.0.0.2:80")
				if got := strings.Join(s.Activity().Remarks, "\n"); !strings.Contains(got, "open its TCP port, or set tcp: never") {
					t.Errorf("remarks %q", got)
				}
				w.put("A web.service.consul", []string{"10.0.0.2", "10.0.0.3"}, one)
				wantKept(t, k, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
				begin := time.Now()
				for len(k.Take(next(t, s))) > 2 {
					if time.Since(begin) > 5*time.Minute {
						t.Fatal("what is not shown any more never goes")
					}
				}
				w.fail(one, "tcp", "")
				w.put("A web.service.consul", []string{"10.0.0.3"}, one)
				begin = time.Now()
				for len(k.Take(next(t, s))) > 1 {
					if time.Since(begin) > lacksTime+10*time.Second {
						t.Fatal("TCP works again, and is not used")
					}
				}
				wantStrong(t, next(t, s), "10.0.0.3:80")
			})
		})
	}
	t.Run("nor over UDP", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(one)
			w.fail(one, "", "closed")
			_, err := w.source(t, Query{Record: "web.service.consul", Type: TypeA, Port: 80}, one).Next(t.Context())
			if discovery.ClassOf(err) != discovery.Transport || !strings.Contains(err.Error(), "refused over TCP, nor over UDP") || !strings.Contains(err.Error(), "tcp: never") {
				t.Errorf("got %v", err)
			}
		})
	})
}
