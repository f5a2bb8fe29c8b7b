package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// A pretended connection notes that it is closed.
type pretended struct {
	net.Conn
	name   string
	closed bool
}

func (p *pretended) Close() error {
	p.closed = true
	return nil
}

func TestPlacesAreSharedOut(t *testing.T) {
	// who comes, "+" for one whose request is being answered; the last is the newcomer
	for _, tt := range []struct {
		name  string
		come  string
		gives int // which one is closed, -1 for the newcomer
	}{
		{"idle of the same", "aaaa", 0},
		{"the oldest idle of who has most", "baaac", 1},
		{"not what is being answered", "a+aaab", 1},
		{"nothing but answers of who has most", "a+a+a+b", 0},
		{"answers of the same", "a+a+a+a", -1},
		{"one of each, all answered", "a+b+c+d", -1},
		{"one of each, all idle: of the first by name", "bacd", 1},
		{"who has one does not give it to who has most", "aaab+a", 0},
		{"who has few is never asked for more", "a+a+a+b+a", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var names, busy []string
			for _, c := range tt.come {
				if c == '+' {
					busy[len(busy)-1] = "+"
					continue
				}
				names, busy = append(names, string(c)), append(busy, "")
			}
			p := newPlaces(len(names) - 1)
			var all []*pretended
			for i, name := range names {
				c := &pretended{name: name}
				all = append(all, c)
				got := p.admit(c, auth.Peer{UID: int(name[0])})
				if (got == nil) != (i == len(names)-1 && tt.gives < 0) {
					t.Fatalf("%d, %s: %v", i, name, got)
				}
				if busy[i] != "" {
					got.answering()
				}
			}
			for i, c := range all {
				if c.closed != (i == tt.gives) {
					t.Errorf("%d, %s: closed is %t", i, c.name, c.closed)
				}
			}
			if len(p.open) != len(names)-1 {
				t.Errorf("%d are open", len(p.open))
			}
		})
	}
}

// TestIdleConnectionsKeepNobodyOut: one user holds as many connections as he can, which
// send nothing, half a header or half a body, and all others are answered at once.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	for _, send := range []string{"", "GET /v1/sta", "POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nabc"} {
		t.Run(fmt.Sprintf("%.10q", send), func(t *testing.T) {
			s, err := New(Options{Agent: newStuck(), Metrics: http.NotFoundHandler(), Reload: func(context.Context, bool) error { return nil }, Listen: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(ctx) }()
			defer func() {
				cancel()
				<-ended
			}()
			for range maxConns + 44 {
				c, err := net.Dial("tcp", s.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, send); err != nil {
					continue // it has made room already
				}
			}
			began := time.Now()
			c, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: "+s.Addr()+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if took := time.Since(began); resp.StatusCode != http.StatusOK || took > headerTimeout/2 {
				t.Errorf("%s after %s", resp.Status, took)
			}
		})
	}
}

// TestPlacesAreGivenBack when connections end.
func TestPlacesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2)
		for range 10 {
			near, far := net.Pipe()
			defer far.Close()
			c := p.admit(near, auth.Peer{UID: -1})
			if c == nil {
				t.Fatal("there is no place")
			}
			done := c.answering()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			done()
		}
		if len(p.open) != 0 {
			t.Errorf("%d are open", len(p.open))
		}
	})
}
