// Package discoverytest is for the tests of sources: it keeps what they publish, and
// is a network in memory for those who are asked.
package discoverytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Watched is a source that is watched: it collects what [discovery.Watch]
// publishes.
type Watched struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards following
	updates []discovery.Update
	news    chan struct{} // closed and replaced at each update
}

// Watch watches src until the test, or the bubble, ends.
func Watch(tb testing.TB, src discovery.Source) *Watched {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	w := &Watched{cancel: cancel, news: make(chan struct{})}
	w.wg.Go(func() { discovery.Watch(ctx, src, w.add) })
	tb.Cleanup(func() { w.End() })
	return w
}

func (w *Watched) add(u discovery.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates = append(w.updates, u)
	close(w.news)
	w.news = make(chan struct{})
}

// Cancel has the watch end, and does not wait for that.
func (w *Watched) Cancel() { w.cancel() }

// End stops the watch and returns everything. It may be called again.
func (w *Watched) End() []discovery.Update {
	w.Cancel()
	w.wg.Wait()
	return w.updates
}

// Seen returns what was published so far, oldest first, and what is closed when
// there is more.
func (w *Watched) Seen() ([]discovery.Update, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.updates), w.news
}

// Until returns the first update, from the nth on, that is as ok wants it, and the
// number of the one after it. It waits 30 s at most.
func (w *Watched) Until(tb testing.TB, n int, ok func(discovery.Update) bool) (discovery.Update, int) {
	tb.Helper()
	updates := w.wait(tb, 30*time.Second, "what is waited for", func(updates []discovery.Update) bool {
		for n < len(updates) && !ok(updates[n]) {
			n++
		}
		return n < len(updates)
	})
	return updates[n], n + 1
}

// Is waits, 20 s at most, until want is what the last update [Said], and returns
// that update.
func (w *Watched) Is(tb testing.TB, want string) discovery.Update {
	tb.Helper()
	updates := w.wait(tb, 20*time.Second, fmt.Sprintf("%q", want), func(updates []discovery.Update) bool {
		n := len(updates)
		return n > 0 && Said(updates[n-1]) == want
	})
	return updates[len(updates)-1]
}

// wait returns what was published when ok first holds for it.
func (w *Watched) wait(tb testing.TB, most time.Duration, what string, ok func([]discovery.Update) bool) []discovery.Update {
	tb.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for {
		updates, news := w.Seen()
		if ok(updates) {
			return updates
		}
		select {
		case <-news:
		case <-deadline.C:
			tb.Fatalf("%s did not come: %q; last: %+v", what, History(updates), updates[max(0, len(updates)-3):])
		}
	}
}

// Said is the reading of u as [Describe] has it, or the class of the error.
func Said(u discovery.Update) string {
	if u.Err != nil {
		return string(discovery.ClassOf(u.Err))
	}
	return Describe(u.Reading)
}

// Describe names the endpoints of r by the number that the last two parts of an
// IPv4 address make, and the state if that is not ready; ~ says that a part of r is
// partial, and ? that one is unknown.
func Describe(r discovery.Reading) string {
	var out []string
	for _, e := range r.Endpoints() {
		text := e.Addr.Addr().String()
		if e.Addr.Addr().Is4() {
			a := e.Addr.Addr().As4()
			text = fmt.Sprint(int(a[2])<<8 | int(a[3]))
		}
		if e.State != discovery.Ready {
			text += " " + e.State.String()
		}
		out = append(out, text)
	}
	for _, state := range []discovery.Completeness{discovery.Partial, discovery.Unknown} {
		if slices.ContainsFunc(r.Parts, func(p discovery.Part) bool { return p.State == state }) {
			out = append(out, map[discovery.Completeness]string{discovery.Partial: "~", discovery.Unknown: "?"}[state])
		}
	}
	return strings.Join(out, " ")
}

// History is what updates [Said], each once while it lasted.
func History(updates []discovery.Update) []string {
	var out []string
	for _, u := range updates {
		out = append(out, Said(u))
	}
	return slices.Compact(out)
}
