package dns

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A script answers queries in a bubble of virtual time: nil is silence.
type script func(network, server string, q *wire.Msg) *wire.Msg

func (f script) exchange(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
	if m := f(network, server, q); m != nil {
		return m, nil
	}
	return nil, never(ctx, server)
}

// scripted is a source of address records with the default options.
func scripted(t *testing.T, f script, servers ...string) *Source {
	s := newSource(t, Options{Servers: servers}, Query{Record: "x.test", Type: TypeA, Port: 80})
	s.client.exchange = f.exchange
	s.placed = true // the first wait is one like the others
	return s
}

func constant(records ...string) script {
	return func(_, _ string, q *wire.Msg) *wire.Msg { return answer(q, records...) }
}

const one, two = "192.0.2.1:53", "192.0.2.2:53"

// TestPace is about the time between two lookups.
func TestPace(t *testing.T) {
	negative := func(ttl, minimum int) script {
		return func(_, _ string, q *wire.Msg) *wire.Msg {
			m := answer(q)
			m.Ns = append(m.Ns, mustRR(fmt.Sprintf("test. %d IN SOA ns.test. x.test. 1 1 1 1 %d", ttl, minimum)))
			return m
		}
	}
	cases := []struct {
		name   string
		script script
		want   time.Duration
	}{
		{"TTL 12", constant("x.test. 12 IN A 10.0.0.1"), 12 * time.Second},
		{"smallest of a chain", constant("x.test. 60 IN CNAME y.test.", "y.test. 15 IN CNAME z.test.", "z.test. 20 IN A 10.0.0.1"), 15 * time.Second},
		{"other owners do not count", constant("x.test. 12 IN A 10.0.0.1", "y.test. 6 IN A 10.0.0.2"), 12 * time.Second},
		{"D11 TTL 0", constant("x.test. 0 IN A 10.0.0.1"), 5 * time.Second},
		{"a day", constant("x.test. 86400 IN A 10.0.0.1"), 30 * time.Second},
		{"D11 TTL 2^31", constant("x.test. 2147483648 IN A 10.0.0.1"), 5 * time.Second},
		{"D11 TTL 2^32-1", constant("x.test. 4294967295 IN A 10.0.0.1"), 5 * time.Second},
		{"none, by the SOA's minimum", negative(100, 9), 9 * time.Second},
		{"none, by the SOA's TTL", negative(8, 100), 8 * time.Second},
		{"none, unproved", constant(), 5 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scripted(t, c.script, one)
				begin := time.Now()
				next(t, s)
				if d := time.Since(begin); d != 0 {
					t.Fatalf("the first answer took %v", d)
				}
				next(t, s)
				if d := time.Since(begin); d < c.want*9/10 || d > c.want*11/10 {
					t.Errorf("asked again after %v, want %v ±10 %%", d, c.want)
				}
			})
		})
	}
}

func TestPacesDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		seen[spread(math.MaxInt32)] = true
	}
	if len(seen) < 40 {
		t.Errorf("50 sources ask at %d different times", len(seen))
	}
}

func TestErrorsAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := false
		s := scripted(t, func(_, _ string, q *wire.Msg) *wire.Msg {
			m := answer(q, "x.test. 30 IN A 10.0.0.1")
			if broken {
				m.Rcode = wire.RcodeServerFailure
			}
			return m
		}, one)
		next(t, s)
		broken = true
		wantError(t, s, discovery.Server)
		begin := time.Now()
		wantError(t, s, discovery.Server)
		broken = false
		next(t, s)
		if d := time.Since(begin); d != 0 {
			t.Errorf("asked again after %v", d)
		}
	})
}

func TestD16LookupTime(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 4 * time.Second, 2: 8 * time.Second, 5: 8 * time.Second} {
		t.Run(fmt.Sprintf("%d silent servers", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var servers []string
				for i := range n {
					servers = append(servers, fmt.Sprintf("192.0.2.%d:53", i+1))
				}
				s := scripted(t, func(_, _ string, _ *wire.Msg) *wire.Msg { return nil }, servers...)
				begin := time.Now()
				wantError(t, s, discovery.Transport)
				if d := time.Since(begin); d != want {
					t.Errorf("took %v, want %v", d, want)
				}
			})
		})
	}
}

func TestSilentServerIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		s := scripted(t, func(_, server string, q *wire.Msg) *wire.Msg {
			asked[server]++
			if server == one {
				return nil
			}
			return answer(q, "x.test. 5 IN A 10.0.0.1")
		}, one, two)
		begin := time.Now()
		wantStrong(t, next(t, s), "10.0.0.1:80")
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("took %v, want one timeout", d)
		}
		next(t, s)
		if asked[one] != 1 || asked[two] != 2 {
			t.Errorf("asked %v", asked)
		}
	})
}

func TestEDNSIsTriedAgainAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var withEDNS []bool
		s := scripted(t, func(_, _ string, q *wire.Msg) *wire.Msg {
			withEDNS = append(withEDNS, q.IsEdns0() != nil)
			m := answer(q)
			if q.IsEdns0() != nil {
				m.Rcode = wire.RcodeFormatError
				return m
			}
			return answer(q, "x.test. 5 IN A 10.0.0.1")
		}, one)
		next(t, s)
		next(t, s)
		time.Sleep(plainTime)
		next(t, s)
		want := []bool{true, false, false, true, false}
		if fmt.Sprint(withEDNS) != fmt.Sprint(want) {
			t.Errorf("EDNS in queries: %v, want %v", withEDNS, want)
		}
	})
}

// 500 lookups in flight, or waiting for their turn, end in no time at all.
func TestD36Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Options{Servers: []string{one, two}})
		if err != nil {
			t.Fatal(err)
		}
		c.exchange = script(func(_, _ string, _ *wire.Msg) *wire.Msg { return nil }).exchange
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 500 {
			s, err := c.Source(Query{Record: fmt.Sprintf("x%d.test", i), Port: 80})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
		}
		time.Sleep(time.Second)
		if n := len(c.inFlight); n != maxInFlight {
			t.Errorf("%d in flight, want %d", n, maxInFlight)
		}
		begin := time.Now()
		cancel()
		wg.Wait()
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

func TestCancelEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, constant("x.test. 30 IN A 10.0.0.1"), one)
		next(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		next(t, s)
		if d := time.Since(begin); d < 27*time.Second {
			t.Errorf("the wait that was broken off did not count: asked after %v", d)
		}
		if _, err := s.Next(canceled()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestParallelTargets holds the bound of lookups at a time, and that they are
// at a time.
func TestParallelTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		s := newSource(t, Options{Servers: []string{one}}, srv)
		s.client.exchange = func(_ context.Context, _, _ string, q *wire.Msg) (*wire.Msg, error) {
			if q.Question[0].Qtype == wire.TypeSRV {
				m := answer(q)
				for i := range 64 {
					m.Answer = append(m.Answer, mustRR(fmt.Sprintf("%s. 5 IN SRV 1 1 80 t%d.test.", srvName, i)))
				}
				return m, nil
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			if q.Question[0].Qtype == wire.TypeAAAA {
				return answer(q), nil
			}
			return answer(q, q.Question[0].Name+" 5 IN A 10.0.0.1"), nil
		}
		begin := time.Now()
		wantStrong(t, next(t, s), "10.0.0.1:80")
		if d := time.Since(begin); d != 4*time.Second || most != 2*maxParallel {
			t.Errorf("64 targets took %v with %d queries at a time, want 4s with %d", d, most, 2*maxParallel)
		}
	})
}

func TestD15WatchKeepsOverTrouble(t *testing.T) { // SERVFAIL for a day, or a tenth of one
	day := 24 * time.Hour / 10
	if os.Getenv("SLOTSYNC_LONG") == "1" {
		day = 24 * time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := scripted(t, func(_, _ string, q *wire.Msg) *wire.Msg {
			m := answer(q, "x.test. 30 IN A 10.0.0.1")
			if d := time.Since(begin); d > time.Minute && d < day {
				m.Rcode = wire.RcodeServerFailure
			}
			return m
		}, one)
		ctx, cancel := context.WithTimeout(t.Context(), day+time.Minute)
		defer cancel()
		errs, recovered := 0, time.Duration(0)
		discovery.Watch(ctx, s, func(u discovery.Update) {
			switch {
			case u.Err != nil:
				errs++
			case len(u.Reading.Endpoints()) != 1:
				t.Fatalf("endpoints %v", u.Reading.Endpoints())
			case errs > 0 && recovered == 0:
				recovered = time.Since(begin) - day
			}
		})
		if errs < 200 || recovered == 0 || recovered > 2*time.Second {
			t.Errorf("%d errors, recovered after %v", errs, recovered)
		}
	})
}
