package web

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// places are the connections that a listener may have, shared out among who is at their
// other ends: whoever has most of them makes room when they are used up.
type places struct {
	most int
	mu   sync.Mutex
	open map[*placed]struct{}
	next uint64
}

func newPlaces(most int) *places { return &places{most: most, open: map[*placed]struct{}{}} }

// A placed connection has one of the places, until it is closed.
type placed struct {
	net.Conn
	peer auth.Peer
	of   *places
	nth  uint64
	busy int // requests that are being answered; guarded by of.mu
}

// Close implements [net.Conn].
func (c *placed) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// answering counts a request of c that has arrived whole, until what it returns is called.
func (c *placed) answering() (done func()) {
	add := func(n int) {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.busy += n
	}
	add(1)
	return func() { add(-1) }
}

// admit gives c a place, nil if there is none for it.
func (p *places) admit(c net.Conn, from auth.Peer) *placed {
	p.mu.Lock()
	n := &placed{Conn: c, peer: from, of: p, nth: p.next}
	var gives *placed
	if len(p.open) >= p.most {
		if gives = p.toClose(from.Key()); gives == nil {
			p.mu.Unlock()
			return nil
		}
		delete(p.open, gives)
	}
	p.next++
	p.open[n] = struct{}{}
	p.mu.Unlock()
	if gives != nil {
		_ = gives.Conn.Close() // it has no place whatever comes of that
	}
	return n
}

// toClose is the connection that makes room for one of a newcomer: of who has most of
// them the oldest that is idle or has not sent a whole request, else, where the newcomer
// has fewer, the oldest at all. Nil if there is none.
func (p *places) toClose(newcomer string) *placed {
	held := map[string]int{}
	for c := range p.open {
		held[c.peer.Key()]++
	}
	greediest := newcomer
	for key, n := range held {
		if n > held[greediest] || n == held[greediest] && key < greediest && greediest != newcomer {
			greediest = key
		}
	}
	var waiting, oldest *placed
	for c := range p.open {
		if c.peer.Key() != greediest {
			continue
		}
		if oldest == nil || c.nth < oldest.nth {
			oldest = c
		}
		if c.busy == 0 && (waiting == nil || c.nth < waiting.nth) {
			waiting = c
		}
	}
	if waiting == nil && held[newcomer]+1 < held[greediest] {
		return oldest
	}
	return waiting
}

// A sharing listener gives each of its connections a place, and closes those that find
// none.
type sharing struct {
	net.Listener
	places *places
}

// Accept implements [net.Listener].
func (l *sharing) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if placed := l.places.admit(c, auth.AskPeer(c)); placed != nil {
			return placed, nil
		}
		_ = c.Close() // nobody waits for the error
	}
}

// placeKey is where a connection's context carries its place.
type placeKey struct{}

// withPlace notes in the context of a connection which place it has, and who is at its
// other end.
func withPlace(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*placed); ok {
		return auth.WithPeer(context.WithValue(ctx, placeKey{}, p), p.peer)
	}
	return ctx
}
