package dns

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// slow answers after a second, and counts.
func slow(asked *int, mu *sync.Mutex) exchanger {
	return func(ctx context.Context, _, server string, q *wire.Msg) (*wire.Msg, error) {
		mu.Lock()
		*asked++
		mu.Unlock()
		select {
		case <-time.After(time.Second):
			return answer(q, q.Question[0].Name+" 5 IN A 10.0.0.1"), nil
		case <-ctx.Done():
			return nil, transportError(server, ctx.Err())
		}
	}
}

func TestEqualQuestionsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := 0
		c, err := NewClient(Options{Servers: []string{one}})
		must(t, err)
		c.exchange = slow(&asked, &mu)
		var wg sync.WaitGroup
		for i := range 100 {
			name := []string{"a.test", "b.test"}[i%2]
			s, err := c.Source(Query{Record: name, Type: TypeA, Port: uint16(1 + i)})
			must(t, err)
			wg.Go(func() { next(t, s) })
		}
		wg.Wait()
		if asked != 2 {
			t.Errorf("%d questions, want 2", asked)
		}
		if len(c.flights.by) != 0 {
			t.Errorf("%d are remembered", len(c.flights.by))
		}
	})
}

func TestOneLeavesOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := 0
		c, err := NewClient(Options{Servers: []string{one}})
		must(t, err)
		c.exchange = slow(&asked, &mu)
		leaver, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 3 {
			s, err := c.Source(Query{Record: "a.test", Type: TypeA, Port: 80})
			must(t, err)
			wg.Go(func() {
				if i > 0 {
					next(t, s)
				} else if _, err := s.Next(leaver); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		}
		time.Sleep(time.Second / 2)
		cancel()
		wg.Wait()
		if asked != 1 || c.roster.by[one].fails != 0 {
			t.Errorf("asked %d times, %d failures", asked, c.roster.by[one].fails)
		}
	})
}

// A reply that makes its reader panic is one that cannot be read.
func TestPanicIsAnError(t *testing.T) {
	s := scripted(t, func(_, _ string, _ *wire.Msg) *wire.Msg { panic("index out of range") }, one)
	wantError(t, s, discovery.Protocol)
}
