package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// dial connects to a server that runs on l.
func dial(t *testing.T, l *discoverytest.Pipes) net.Conn {
	t.Helper()
	c, err := l.Dial(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stuck is an agent whose Sync ends with its context, as does its reload of
// HAProxy; nobody asks it for anything else of HAProxy's.
type stuck struct {
	Agent
	started, ended chan struct{}
	list           *event.Log
}

func (s stuck) Events() *event.Log { return s.list }

func (stuck) Status() api.Status { return api.Status{Schema: api.Schema} }
func (stuck) Healthy() error     { return nil }
func (stuck) Accept(context.Context, string, string, string) (api.Accepted, error) {
	return api.Accepted{}, nil
}
func (stuck) Explain(context.Context, string, string) (api.Explanation, error) {
	return api.Explanation{}, nil
}

func (s stuck) Sync(ctx context.Context) (api.Status, error) {
	close(s.started)
	<-ctx.Done()
	close(s.ended)
	return api.Status{}, ctx.Err()
}

func (s stuck) ReloadHAProxy(ctx context.Context, _ api.ReloadRequest) ([]api.ReloadStatus, error) {
	_, err := s.Sync(ctx)
	return nil, err
}

// serving runs a server on pipes inside a bubble and stops it at its end.
func serving(t *testing.T, a Agent, f func(l *discoverytest.Pipes, stop func() error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{
			Agent: a, Metrics: http.NotFoundHandler(), Reload: func(context.Context, bool) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		l := discoverytest.NewPipes()
		s.unix = l
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		stop := sync.OnceValue(func() error {
			cancel()
			return <-ended
		})
		defer func() {
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		f(l, stop)
	})
}

func newStuck() stuck {
	return stuck{started: make(chan struct{}), ended: make(chan struct{}), list: event.New(time.Now())}
}

func TestSlowClients(t *testing.T) {
	tests := []struct {
		name string
		send string
		want time.Duration // until the connection is closed
		code int           // 0: nothing is answered
	}{
		{"nothing", "", headerTimeout, 0},
		{"half a request line", "GET /v1/sta", headerTimeout, 0},
		{"half a header", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-", headerTimeout, 0},
		{"half a body", "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", bodyTimeout, 408},
		{"no body", "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n", bodyTimeout, 408},
		{"idle after a request", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
				c := dial(t, l)
				defer c.Close()
				start := time.Now()
				if _, err := io.WriteString(c, tt.send); err != nil {
					t.Fatal(err)
				}
				answer, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				// net/http lingers for 500 ms before it closes what it has cut.
				if took := time.Since(start); took < tt.want || took > tt.want+time.Second {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
				resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(answer))), nil)
				if tt.code == 0 {
					if err == nil && resp.StatusCode < 400 {
						t.Errorf("it was answered: %s", answer)
					}
					return
				}
				if err != nil || resp.StatusCode != tt.code {
					t.Errorf("answer %q, %v", answer, err)
				}
			})
		})
	}
}

func TestSlowClientDelaysNobody(t *testing.T) {
	serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
		slow := dial(t, l)
		defer slow.Close()
		if _, err := io.WriteString(slow, "GET /v1/"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if code := get(t, l, "GET /v1/status"); code != 200 || time.Since(start) != 0 {
			t.Errorf("another client: %d after %v", code, time.Since(start))
		}
	})
}

// get sends a request without a body on a connection of its own.
func get(t *testing.T, l *discoverytest.Pipes, what string) int {
	c := dial(t, l)
	defer c.Close()
	if _, err := io.WriteString(c, what+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"); err != nil {
		t.Error(err)
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}

func TestLargeHeader(t *testing.T) {
	serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
		c := dial(t, l)
		defer c.Close()
		go func() {
			// The server stops reading somewhere in the middle.
			_, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%+v, %v", resp, err)
		}
	})
}

func TestSyncIsBounded(t *testing.T) {
	serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
		start := time.Now()
		if code := get(t, l, "POST /v1/sync"); code != http.StatusGatewayTimeout {
			t.Errorf("%d", code)
		}
		if took := time.Since(start); took != api.ChangeTimeout {
			t.Errorf("took %v", took)
		}
	})
}

// A reload takes longer than a request may otherwise.
func TestReloadIsWaitedFor(t *testing.T) {
	serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
		start := time.Now()
		if code := get(t, l, "POST /v1/haproxy/reload"); code != http.StatusGatewayTimeout {
			t.Errorf("%d", code)
		}
		if took := time.Since(start); took != api.TransactionTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestClientThatLeavesEndsItsSync(t *testing.T) {
	a := newStuck()
	serving(t, a, func(l *discoverytest.Pipes, _ func() error) {
		c := dial(t, l)
		if _, err := io.WriteString(c, "POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-a.started
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		<-a.ended
		if took := time.Since(start); took != 0 {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestServeStops(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		serving(t, newStuck(), func(_ *discoverytest.Pipes, stop func() error) {
			synctest.Wait()
			start := time.Now()
			if err := stop(); err != nil || time.Since(start) != 0 {
				t.Errorf("stopped after %v: %v", time.Since(start), err)
			}
		})
	})
	t.Run("with a request that does not end", func(t *testing.T) {
		a := newStuck()
		serving(t, a, func(l *discoverytest.Pipes, stop func() error) {
			c := dial(t, l)
			defer c.Close()
			if _, err := io.WriteString(c, "POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			<-a.started
			start := time.Now()
			if err := stop(); err != nil || time.Since(start) > 2*time.Second {
				t.Errorf("stopped after %v: %v", time.Since(start), err)
			}
			<-a.ended
		})
	})
}

func TestSocketIsPrivateFromTheStart(t *testing.T) {
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "a.sock")
	l, err := bindPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		t.Errorf("before anything else happens to it: mode %v", mode)
	}
}

// failing is a listener that breaks.
type failing struct{ *discoverytest.Pipes }

func (failing) Accept() (net.Conn, error) { return nil, errors.New("out of file descriptors") }

func TestServeReportsAListenerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Agent: newStuck(), Metrics: http.NotFoundHandler()})
		if err != nil {
			t.Fatal(err)
		}
		s.unix, s.tcp = discoverytest.NewPipes(), failing{discoverytest.NewPipes()}
		if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "out of file descriptors") {
			t.Errorf("Serve: %v", err)
		}
	})
}
