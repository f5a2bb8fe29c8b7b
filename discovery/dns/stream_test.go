package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// Servers of this library close a connection after 128 questions.
func TestD9ServerClosesConnections(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("x.test", 0, fleet(2)...)
	var mu sync.Mutex
	streams := map[string]bool{}
	server.SetHook(func(w wire.ResponseWriter, _ *wire.Msg) bool {
		mu.Lock()
		defer mu.Unlock()
		streams[w.RemoteAddr().String()] = true
		return false
	})
	o := patient(server.Addr())
	o.TCP = Always
	s := newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80})
	defer func() { must(t, s.client.Close()) }()
	for range 300 {
		wantStrong(t, next(t, s), "10.1.0.0:80", "10.1.0.1:80")
	}
	mu.Lock()
	defer mu.Unlock()
	if h := s.client.servers.by[server.Addr()]; h.fails != 0 || !h.lastFailure.IsZero() || len(streams) != 3 {
		t.Errorf("300 questions: %d connections, %+v", len(streams), h)
	}
}

// answersOnce reads a query of a stream and answers it.
func answersOnce(c net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	q := new(wire.Msg)
	if err := q.Unpack(b); err != nil {
		return err
	}
	m := pack(answer(q, right))
	_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	return err
}

// A server that closes after every answer, without saying so, costs a dial each
// time and never a failure; one that closes without an answer is in trouble.
func TestD9RedialIsOnce(t *testing.T) {
	var dials, good atomic.Int64
	good.Store(3)
	addr := listen(t, func(c net.Conn) {
		dials.Add(1)
		if good.Add(-1) >= 0 {
			_ = answersOnce(c)
		}
	})
	o := patient(addr)
	o.TCP = Always
	s := newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80})
	defer func() { must(t, s.client.Close()) }()
	for range 3 {
		wantStrong(t, next(t, s), "10.0.0.1:80")
	}
	if n := dials.Load(); n != 3 {
		t.Errorf("%d connections for 3 answers", n)
	}
	wantError(t, s, discovery.Transport)
	if n := dials.Load(); n != 3+defaultRounds {
		t.Errorf("%d connections for a lookup that fails", n-3)
	}
}

// listen serves each connection by speak, then closes it.
func listen(t *testing.T, speak func(net.Conn)) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			speak(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// What is not used is closed after a while, by Close, and never kept twice.
func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLinks()
		a, far := net.Pipe()
		if !l.keep(one, a) || l.keep(one, a) || !l.keep(two, a) || l.take(two) != a {
			t.Fatal("one connection per server is kept")
		}
		begin := time.Now()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) != idleTime {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if l.take(one) != nil {
			t.Error("a closed connection is handed out")
		}
		b, _ := net.Pipe()
		l.keep(one, b)
		if l.take(one) != b {
			t.Error("a new one is not")
		}
		l.keep(one, b)
		l.close()
		if _, err := b.Write(nil); !errors.Is(err, io.ErrClosedPipe) || l.keep(one, b) {
			t.Errorf("after close: %v", err)
		}
	})
}

// A late answer to a question that was given up must not be the next one's.
func TestGivenUpConnectionIsNotKept(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetMode(dnstest.Hang)
	l := newLinks()
	defer l.close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.exchange(ctx, "tcp", server.Addr(), newQuery("x.test.", wire.TypeA, false)); discovery.ClassOf(err) != discovery.Transport {
		t.Errorf("got %v", err)
	}
	if l.take(server.Addr()) != nil {
		t.Error("it was kept")
	}
}

// 500 questions in flight with a real server that is silent end at once.
func TestD36RealShutdown(t *testing.T) {
	for _, network := range []string{Never, Always} {
		t.Run("D36 tcp "+network, func(t *testing.T) {
			server := dnstest.NewServer(t)
			server.SetMode(dnstest.Hang)
			c, err := NewClient(Options{Servers: []string{server.Addr()}, TCP: network, Timeout: time.Minute})
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 500 {
				s, err := c.Source(Query{Record: fmt.Sprintf("x%d.test", i), Type: TypeA, Port: 80})
				must(t, err)
				wg.Go(func() {
					if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
				})
			}
			eventually.True(t, "questions arrive", func() bool { return server.Queries("udp")+server.Queries("tcp") >= 8 })
			begin := time.Now()
			cancel()
			wg.Wait()
			took := time.Since(begin)
			t.Logf("500 questions ended within %v", took)
			if took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Deadlines are measured on the monotonic clock, which a set clock does not move.
func TestD37MonotonicTime(t *testing.T) {
	s := newSource(t, Options{Servers: []string{one}}, Query{Record: "x.test", Type: TypeA, Port: 80})
	s.client.exchange = constant("x.test. 30 IN A 10.0.0.1").exchange
	next(t, s)
	s.client.servers.failed(one, time.Now())
	s.client.preferTCP.set("x.test.", "a test", time.Minute)
	for name, at := range map[string]time.Time{
		"due": s.due, "last failure": s.client.servers.by[one].lastFailure, "preferTCP": s.client.preferTCP.by["x.test."].until, "expiry": s.set(key{"x.test.", wire.TypeA}).partial.expires,
	} {
		if !bytes.Contains([]byte(at.String()), []byte(" m=")) {
			t.Errorf("%s is on the wall clock: %s", name, at)
		}
	}
}
