package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A realWatch watches sources and keeps what they publish.
type realWatch struct {
	mu      sync.Mutex // guards following
	last    map[string]discovery.Update
	updates []discovery.Update
	news    chan struct{} // closed and replaced at each update
}

// count returns how many updates there were.
func (w *realWatch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.updates)
}

// neverLacked wants no strong reading, from the nth update on, to lack any of
// these instances.
func (w *realWatch) neverLacked(t *testing.T, n int, instances []netip.Addr) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.updates[n:] {
		if u.Err == nil && len(gaps(u.Reading)) == 0 && len(u.Reading.Endpoints()) < len(instances) {
			t.Errorf("%d of %d endpoints: %s", len(u.Reading.Endpoints()), len(instances), u.Reading.Note)
		}
	}
}

// watchReal watches every source of s until the test ends.
func watchReal(t *testing.T, s realServer) *realWatch {
	t.Helper()
	queries := append([]Query{s.service}, s.names...)
	return watchQueries(t, realOptions(s.addr), queries...)
}

func watchQueries(t *testing.T, o Options, queries ...Query) *realWatch {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &realWatch{last: map[string]discovery.Update{}, news: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = c.Close()
	})
	for _, q := range queries {
		src, err := c.Source(q)
		if err != nil {
			t.Fatal(err)
		}
		w.last[src.String()] = discovery.Update{}
		wg.Go(func() { discovery.Watch(ctx, src, func(u discovery.Update) { w.add(src.String(), u) }) })
	}
	return w
}

func (w *realWatch) add(name string, u discovery.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[name] = u
	w.updates = append(w.updates, u)
	close(w.news)
	w.news = make(chan struct{})
}

// until returns when the last update of each source is as ok wants it; it fails
// after the time within.
func (w *realWatch) until(t *testing.T, what string, within time.Duration, ok func(discovery.Update) bool) {
	t.Helper()
	begun := time.Now()
	end := time.NewTimer(within)
	defer end.Stop()
	for {
		w.mu.Lock()
		lacking := ""
		for name, u := range w.last {
			if !ok(u) {
				lacking += fmt.Sprintf("\n%s: %d endpoints, %s, %v", name, len(u.Reading.Endpoints()), u.Reading.Note, u.Err)
			}
		}
		news := w.news
		w.mu.Unlock()
		if lacking == "" {
			t.Logf("%s: after %s", what, time.Since(begun).Round(time.Millisecond))
			return
		}
		select {
		case <-news:
		case <-end.C:
			t.Fatalf("%s: not within %s:%s", what, within, lacking)
		}
	}
}

// expect waits until every source has exactly these instances, in a strong
// reading.
func (w *realWatch) expect(t *testing.T, what string, instances []netip.Addr, within time.Duration) {
	t.Helper()
	want := slices.SortedFunc(slices.Values(instances), netip.Addr.Compare)
	w.until(t, what, within, func(u discovery.Update) bool {
		same := slices.EqualFunc(u.Reading.Endpoints(), want, func(e discovery.Endpoint, a netip.Addr) bool {
			return e.Addr == netip.AddrPortFrom(a, realPort)
		})
		return u.Err == nil && same && len(gaps(u.Reading)) == 0 && !u.At.IsZero()
	})
}

// expectError waits until every source says that it is in trouble of class c.
func (w *realWatch) expectError(t *testing.T, c discovery.Class, within time.Duration) {
	t.Helper()
	w.until(t, "trouble", within, func(u discovery.Update) bool {
		return u.Err != nil && discovery.ClassOf(u.Err) == c
	})
}
