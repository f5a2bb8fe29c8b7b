package dns

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// watching runs Watch for each of these sources and notes when each has its
// first reading after since.
func watching(t *testing.T, c *Client, queries []Query, since *time.Time) (back func() map[string]time.Duration, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	seen := map[string]time.Duration{}
	var wg sync.WaitGroup
	for _, q := range queries {
		s, err := c.Source(q)
		must(t, err)
		wg.Go(func() {
			discovery.Watch(ctx, s, func(u discovery.Update) {
				mu.Lock()
				defer mu.Unlock()
				if _, ok := seen[s.String()]; !ok && u.Err == nil && !since.IsZero() && !u.At.Before(*since) {
					seen[s.String()] = u.At.Sub(*since)
				}
			})
		})
	}
	return func() map[string]time.Duration { mu.Lock(); defer mu.Unlock(); return seen },
		func() { cancel(); wg.Wait() }
}

// 500 sources are back two seconds after their server at the latest: what they
// had asked before that is waited for so long.
func TestD16Recovery(t *testing.T) {
	cases := map[string]func(q *wire.Msg) *wire.Msg{
		"silence":  func(*wire.Msg) *wire.Msg { return nil },
		"SERVFAIL": func(q *wire.Msg) *wire.Msg { return new(wire.Msg).SetRcode(q, wire.RcodeServerFailure) },
	}
	for name, trouble := range cases {
		t.Run("D16 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewClient(Options{Servers: []string{one, two}})
				must(t, err)
				var mu sync.Mutex
				broken, asked := true, 0
				c.exchange = script(func(_, _ string, q *wire.Msg) *wire.Msg {
					mu.Lock()
					defer mu.Unlock()
					asked++
					if broken {
						return trouble(q)
					}
					return answer(q, q.Question[0].Name+" 30 IN A 10.0.0.1")
				}).exchange
				var queries []Query
				for i := range 500 {
					queries = append(queries, Query{Record: fmt.Sprintf("x%d.test", i), Type: TypeA, Port: 80})
				}
				var since time.Time
				back, stop := watching(t, c, queries, &since)
				defer stop()
				time.Sleep(2 * time.Minute)
				mu.Lock()
				asked = 0
				mu.Unlock()
				time.Sleep(time.Minute + 100*time.Millisecond)
				mu.Lock()
				t.Logf("%d questions in a minute", asked)
				broken, since = false, time.Now()
				mu.Unlock()
				time.Sleep(20 * time.Second)
				most := time.Duration(0)
				for _, d := range back() {
					most = max(most, d)
				}
				t.Logf("%d are back after %v", len(back()), most)
				if len(back()) != 500 || most > 2*time.Second+100*time.Millisecond {
					t.Errorf("%d are back, the last after %v", len(back()), most)
				}
			})
		})
	}
}

// A name that fails for ever keeps nobody else from coming back.
func TestRecoveryBesideTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Options{Servers: []string{one}})
		must(t, err)
		var mu sync.Mutex
		broken := true
		c.exchange = script(func(_, _ string, q *wire.Msg) *wire.Msg {
			mu.Lock()
			defer mu.Unlock()
			if name := q.Question[0].Name; broken || name == "sick1.test." || name == "sick2.test." {
				return new(wire.Msg).SetRcode(q, wire.RcodeServerFailure)
			}
			return answer(q, q.Question[0].Name+" 30 IN A 10.0.0.1")
		}).exchange
		var queries []Query
		for _, name := range []string{"sick1.test", "sick2.test", "web.test"} {
			queries = append(queries, Query{Record: name, Type: TypeA, Port: 80})
		}
		var since time.Time
		back, stop := watching(t, c, queries, &since)
		defer stop()
		time.Sleep(10 * time.Minute)
		mu.Lock()
		broken, since = false, time.Now()
		mu.Unlock()
		time.Sleep(20 * time.Second)
		if d, ok := back()["dns A web.test"]; !ok || d > 6*time.Second {
			t.Errorf("back: %v after %v", ok, d)
		}
	})
}

// Trouble that does not pass by itself is not asked about sooner.
func TestNoRecoveryFromRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := scripted(t, func(_, _ string, q *wire.Msg) *wire.Msg {
			asked++
			return new(wire.Msg).SetRcode(q, wire.RcodeRefused)
		}, one)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.Recovered(ctx, discovery.Errorf(discovery.Auth, "REFUSED"))
		if ctx.Err() == nil || asked > 0 {
			t.Errorf("asked %d times", asked)
		}
		again, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		s.Recovered(again, discovery.Errorf(discovery.Transport, "silence"))
		if again.Err() != nil || asked != 1 {
			t.Errorf("a server that says anything is back: %v, asked %d times", again.Err(), asked)
		}
	})
}
