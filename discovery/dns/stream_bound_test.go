package dns

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// TestFewStreams asks a server for many names over TCP. It gets no more
// connections at a time than any server has room for; the others wait.
func TestFewStreams(t *testing.T) {
	server := dnstest.NewServer(t)
	var now, most atomic.Int64
	answer := make(chan struct{})
	server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-answer
		now.Add(-1)
		_ = w.WriteMsg(new(wire.Msg).SetRcode(q, wire.RcodeNameError))
		return true
	})
	c, err := NewClient(Options{Servers: []string{server.Addr()}, TCP: Always, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for i := range 4 * maxStreams {
		s, err := c.Source(Query{Record: fmt.Sprintf("_n%d._tcp.test", i)})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := s.Next(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	eventually.True(t, "as many as may be", func() bool { return most.Load() >= maxStreams })
	close(answer)
	wg.Wait()
	if n := most.Load(); n > maxStreams {
		t.Errorf("%d connections at a time, want %d at most", n, maxStreams)
	}
}
