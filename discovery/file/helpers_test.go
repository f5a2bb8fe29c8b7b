package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a source for service of all YAML files in dir.
func open(t *testing.T, dir, service string) *Source {
	t.Helper()
	return source(t, files(t, dir), service)
}

func files(t *testing.T, dir string) *Files {
	t.Helper()
	f, err := New(Options{Path: filepath.Join(dir, "*.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func source(t *testing.T, f *Files, service string) *Source {
	t.Helper()
	s, err := f.Source(Query{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deaf makes f one that nobody tells of changes.
func deaf(f *Files) *Files {
	f.listen = func(string) (*bell, error) { return nil, errors.New("too many open files") }
	return f
}

// group is a file with these targets.
func group(hosts ...int) string {
	if len(hosts) == 0 {
		return "[]"
	}
	var b strings.Builder
	b.WriteString("- targets:\n")
	for _, n := range hosts {
		fmt.Fprintf(&b, "  - 10.0.%d.%d:80\n", n>>8, n&255)
	}
	return b.String()
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace writes the file under another name and renames it.
func replace(t *testing.T, dir, name, text string) {
	t.Helper()
	write(t, dir, "."+name+".new", text)
	do(t, os.Rename(filepath.Join(dir, "."+name+".new"), filepath.Join(dir, name)))
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func describe(r discovery.Reading) string {
	var out []string
	for _, e := range r.Endpoints {
		a := e.Addr.Addr().As4()
		text := fmt.Sprint(int(a[2])<<8 | int(a[3]))
		if e.State != discovery.Ready {
			text += " " + e.State.String()
		}
		out = append(out, text)
	}
	if r.Weak {
		out = append(out, "~")
	}
	return strings.Join(out, " ")
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
	deadline := time.NewTimer(20 * time.Second)
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

func said(u discovery.Update) string {
	if u.Err != nil {
		return string(discovery.ClassOf(u.Err))
	}
	return describe(u.Reading)
}

// history says what was published, each once while it lasted.
func history(updates []discovery.Update) []string {
	var out []string
	for _, u := range updates {
		out = append(out, said(u))
	}
	return slices.Compact(out)
}
