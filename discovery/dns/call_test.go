package dns

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// slowClient returns one whose server answers after a second; asked counts.
func slowClient(t *testing.T, asked *atomic.Int64) *Client {
	t.Helper()
	c, err := NewClient(Options{Servers: []string{one}})
	must(t, err)
	c.exchange = func(ctx context.Context, _, server string, q *wire.Msg) (*wire.Msg, error) {
		asked.Add(1)
		select {
		case <-time.After(time.Second):
			return answer(q, q.Question[0].Name+" 5 IN A 10.0.0.1"), nil
		case <-ctx.Done():
			return nil, transportError(server, ctx.Err())
		}
	}
	return c
}

func TestEqualQuestionsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := slowClient(t, &asked)
		var wg sync.WaitGroup
		for i := range 100 {
			name := []string{"a.test", "b.test"}[i%2]
			s, err := c.Source(Query{Record: name, Type: TypeA, Port: uint16(1 + i)})
			must(t, err)
			wg.Go(func() { next(t, s) })
		}
		wg.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("%d questions, want 2", n)
		}
		if len(c.calls.by) != 0 {
			t.Errorf("%d are remembered", len(c.calls.by))
		}
	})
}

func TestOneLeavesOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := slowClient(t, &asked)
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
		if n := asked.Load(); n != 1 || c.servers.by[one].fails != 0 {
			t.Errorf("asked %d times, %d failures", n, c.servers.by[one].fails)
		}
	})
}

// A reply that makes its reader panic is one that cannot be read.
func TestPanicIsAnError(t *testing.T) {
	s := scripted(t, func(_, _ string, _ *wire.Msg) *wire.Msg { panic("index out of range") }, one)
	wantError(t, s, discovery.Protocol)
}
