package nomad

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/nomad/nomadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClient returns a client whose connections end in f.
func fakeClient(t *testing.T, f *nomadtest.Fake, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	c.wire.dial = f.Dial
	t.Cleanup(c.Close)
	return c
}

func source(t *testing.T, c *Client, q Query) *Source {
	t.Helper()
	if q.Service == "" {
		q.Service = "web"
	}
	s, err := c.Source(q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fakeSource(t *testing.T, f *nomadtest.Fake, o Options) *Source {
	t.Helper()
	return source(t, fakeClient(t, f, o), Query{})
}

// A watch collects what discovery.Watch publishes.
type watch struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards following
	updates []discovery.Update
	news    chan struct{} // closed and replaced at each update
}

// start watches src until the test, or the bubble, ends.
func start(t *testing.T, src discovery.Source) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{cancel: cancel, news: make(chan struct{})}
	w.wg.Go(func() { discovery.Watch(ctx, src, w.add) })
	t.Cleanup(func() { w.end() })
	return w
}

func (w *watch) add(u discovery.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates = append(w.updates, u)
	close(w.news)
	w.news = make(chan struct{})
}

// end stops the watch and returns everything.
func (w *watch) end() []discovery.Update {
	w.cancel()
	w.wg.Wait()
	return w.updates
}

func (w *watch) seen() ([]discovery.Update, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.updates), w.news
}

// is waits until the last update is that reading, or an error of that class.
func (w *watch) is(t *testing.T, want string) discovery.Update {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		updates, news := w.seen()
		if n := len(updates); n > 0 && said(updates[n-1]) == want {
			return updates[n-1]
		}
		select {
		case <-news:
		case <-deadline.C:
			t.Fatalf("%q did not come: %q", want, history(updates))
		}
	}
}

// said is the last part of each address, and ~ for a weak reading; or the class of
// the error.
func said(u discovery.Update) string {
	if u.Err != nil {
		return string(discovery.ClassOf(u.Err))
	}
	return describe(u.Reading)
}

func describe(r discovery.Reading) string {
	var out []string
	for _, e := range r.Endpoints {
		a := e.Addr.Addr().As4()
		out = append(out, fmt.Sprint(int(a[2])<<8|int(a[3])))
	}
	if r.Weak {
		out = append(out, "~")
	}
	return strings.Join(out, " ")
}

// history says what was published, each once while it lasted.
func history(updates []discovery.Update) []string {
	var out []string
	for _, u := range updates {
		out = append(out, said(u))
	}
	return slices.Compact(out)
}
