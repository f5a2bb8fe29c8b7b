package consul

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClient returns a client whose connections end in f.
func fakeClient(t *testing.T, f *consultest.Fake, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport.(*transport).dial = f.Dial
	t.Cleanup(c.Close)
	return c
}

func fakeSource(t *testing.T, f *consultest.Fake, o Options, q Query) *Source {
	t.Helper()
	return source(t, fakeClient(t, f, o), q)
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

// until returns the first update, from the nth on, that is as ok wants it.
func (w *watch) until(t *testing.T, n int, ok func(discovery.Update) bool) (discovery.Update, int) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		updates, news := w.seen()
		for ; n < len(updates); n++ {
			if ok(updates[n]) {
				return updates[n], n + 1
			}
		}
		select {
		case <-news:
		case <-deadline.C:
			t.Fatalf("it did not come; last: %+v", updates[max(0, len(updates)-3):])
		}
	}
}

func describe(r discovery.Reading) []string {
	out := []string{}
	for _, e := range r.Endpoints {
		out = append(out, e.String())
	}
	return out
}

// sets returns the sets that were published, each once while it lasted, and the
// classes of the errors between them.
func sets(updates []discovery.Update) (counts []int, classes []discovery.Class) {
	for _, u := range updates {
		if u.Err != nil {
			classes = append(classes, discovery.ClassOf(u.Err))
			continue
		}
		counts = append(counts, len(u.Reading.Endpoints))
	}
	return slices.Compact(counts), slices.Compact(classes)
}

func firstError(updates []discovery.Update) error {
	for _, u := range updates {
		if u.Err != nil {
			return u.Err
		}
	}
	return nil
}
