package agent

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

const (
	badFile    = stateFile + ".bad" // where a state that cannot be used is kept
	retryStore = 5 * time.Second    // how soon it is tried again to write what could not be
)

// writeFile writes one file of a state directory, and returns how often that failed until it
// was told what came of it.
func writeFile(dir, name string, value any) (failed int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	f := store.NewFile(securedir.Policy{}, dir, name, func(error) { failed++ }, func() {})
	written := f.Flush(value)
	var group sync.WaitGroup
	group.Go(func() { f.Run(ctx) })
	err = written(context.Background())
	until := failed
	cancel()
	group.Wait()
	return until, err
}

func TestStateDirectoryIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "slotsync")
	if failed, err := writeFile(dir, stateFile, stored{Version: stateVersion}); err != nil || failed > 0 {
		t.Error(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err != nil {
		t.Error(err)
	}
}

// TestStateIsOfItsOwner: whatever mode the file had, nobody else may decide what the
// agent believes.
func TestStateIsOfItsOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if failed, err := writeFile(dir, stateFile, stored{Version: stateVersion}); err != nil || failed > 0 {
		t.Error(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("mode %v", mode)
	}
}

// oldState is a state of a backend with one source, as it was written before
// there could be several.
const oldState = `{"version":1,"backends":[{"name":"web","source":"SOURCE","at":"AT",
"endpoints":[{"addr":"127.0.0.9:80"},{"addr":"127.0.0.9:81"}],"baseline":null,"slots":{"127.0.0.9:80":"web4"},
"listed":[{"addr":"127.0.0.9:80","last":"AT"},{"addr":"127.0.0.9:81","last":"AT"}]}],"instances":null}`

// older returns that state, so old and of a source that is asked for that.
func older(age time.Duration, asks string) string {
	at := time.Now().Add(-age).Format(time.RFC3339)
	return strings.NewReplacer("AT", at, "SOURCE", digest(asks)).Replace(oldState)
}

func (w *world) putState(text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.opts.StateDir, stateFile), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func TestStateOfOneSourceIsRead(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.putState(older(time.Hour, "a"))
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.second(newSource(90))
		w.start()
		w.wantPorts(a, 80, 81, 90)
		w.source.list(80) // it once listed the other
		w.settle()
		w.wantPorts(a, 80, 90)
		if !strings.Contains(a.show(), "web4=:80") {
			w.t.Errorf("not where it was: %s", a.show())
		}
	}, a)
}

func TestX4_StateThatIsNoUse(t *testing.T) {
	t.Run("25 hours old fills nothing", func(t *testing.T) {
		a := newFake("a", "web", 5)
		inWorld(t, func(w *world) {
			w.putState(older(25*time.Hour, "a"))
			w.source = newMute()
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(time.Hour)
			w.want(a, "")
			w.source.list(80)
			w.settle()
			w.want(a, "web4=:80") // where it was
		}, a)
	})
	t.Run("of another source removes nothing", func(t *testing.T) {
		a := newFake("a", "web", 5)
		a.servers["web"][0].Addr, a.servers["web"][0].Class = addr(80), 2
		inWorld(t, func(w *world) {
			w.putState(older(time.Hour, "b"))
			w.source.reading = discovery.Complete(eps(90)...)
			w.start()
			w.pass(time.Hour)
			w.wantPorts(a, 80, 90)
		}, a)
	})
	for name, text := range map[string]string{
		"corrupt": "{", "truncated": older(0, "a")[:300], "newer": `{"version":99}`, "empty": "", "foreign": `["x"]`,
		"trailing": `{"version":1}{"version":1}`, "binary": "\x00\x01\xff",
	} {
		t.Run(name+" is kept aside", func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.putState(text)
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.pass(time.Minute)
				w.want(a, "web1=:80")
				if n := w.warned.of("state directory cannot be used; going on without it"); n != 1 {
					w.t.Errorf("warned %d times, want once", n)
				}
				if got, err := os.ReadFile(filepath.Join(w.opts.StateDir, badFile)); err != nil || string(got) != text {
					w.t.Errorf("kept aside: %q, %v", got, err)
				}
				if s, err := loadState(securedir.Policy{}, w.opts.StateDir, (*store.Dir).ReadOrSetAside); err != nil || len(s.Backends) != 1 {
					w.t.Errorf("a new one was not written: %+v, %v", s, err)
				}
			}, a)
		})
	}
}

func TestStateDirectoryThatIsNoUse(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string) string{
		"a directory in its place": func(t *testing.T, dir string) string {
			if err := os.MkdirAll(filepath.Join(dir, stateFile, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"a file instead of it": func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"under a file": func(t *testing.T, dir string) string {
			return filepath.Join(os.Args[0], "state")
		},
		"on a file system that takes nothing": func(*testing.T, string) string { return "/proc/self/slotsync" },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.opts.StateDir = spoil(w.t, w.opts.StateDir)
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				for p := range 20 {
					w.source.list(80, 81+p)
					w.pass(2 * time.Second)
				}
				w.wantPorts(a, 80, 100)
				if n := w.warned.of("state directory cannot be used; going on without it"); n != 1 {
					w.t.Errorf("warned %d times, want once", n)
				}
			}, a)
		})
	}
}

func TestStateThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	if err := syscall.Mkfifo(path, 0o600); err != nil { // reading it would never end
		t.Fatal(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err == nil {
		t.Error("a pipe was read")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", path); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err == nil {
		t.Error("a link was followed")
	}
}

func TestStateThatIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(store.MaxSize + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("read: %v", err)
	}
}

func TestStateOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	securedirtest.NeedsRoot(t, "it gives a file to another user")
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("read what another user wrote: %v", err)
	}
}

// FuzzState reads whatever bytes there may be: nothing panics, and no address comes
// in that could not be an endpoint.
func FuzzState(f *testing.F) {
	f.Add([]byte(older(time.Hour, "a")))
	f.Add([]byte(`{"version":1,"backends":[{"name":"web","endpoints":[{"addr":"169.254.169.254:80","state":"down"}],
		"hold":{"kind":"empty","elapsed":-5,"confirmed":99},"turnover":{"elapsed":9223372036854775807,"old":[{"addr":"0.0.0.0:1"}]},
		"failover":{"away":true,"elapsed":-1},"unhealthy":-1,"baseline":[{"n":1000000000}],"leaving":[{"endpoint":{"addr":""}}],
		"feeds":[{"name":"x","endpoints":[{"addr":"[::ffff:10.0.0.1]:80","weight":-3,"name":"\u001b[2J"}],"listed":[{"addr":"224.0.0.1:5"}]}],
		"slots":{"255.255.255.255:80":"web1"}}],"instances":[{"name":"a","externals":{"web":{"web1":{"addr":"[fe80::1]:80"}}},"slots":{"web":1000000000}}],
		"reloads":[{"name":"r","latched":[{}],"done":["2026-01-01T00:00:00Z"]}]}`))
	f.Add([]byte(`{"version":1,"backends":[{"feeds":[null],"listed":null}],"instances":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeState(text)
		if err != nil {
			return
		}
		for _, in := range s.Instances {
			for _, n := range in.Slots {
				if n < 0 || n > discovery.MaxEndpoints {
					t.Fatalf("%d slots", n)
				}
			}
		}
		now := time.Now()
		for _, stored := range s.Backends {
			b := newBackend(Backend{Name: "web", Feeds: []Feed{{Name: "x"}, {Name: "y", Key: "a"}}})
			b.restore(stored, now)
			b.reevaluate(evidence{}, now)
			for a := range b.named(stored) {
				if discovery.Check(a) != "" {
					t.Fatalf("%s came in", a)
				}
			}
			b.wanted()
			b.next(now)
			if _, err := json.Marshal(b.store(strconv.Itoa, now)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// named are all addresses that a backend knows which was restored from s.
func (b *backend) named(s storedBackend) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	sets := [][]discovery.Endpoint{b.guard.Published(), b.wanted()}
	if t, ok := b.guard.Turnover(); ok {
		sets = append(sets, t.Leaving)
	}
	for _, f := range b.feeds {
		sets = append(sets, f.known.Set().Endpoints)
		for _, a := range f.known.EverListed() {
			out[a] = true
		}
	}
	for _, set := range sets {
		for _, e := range set {
			out[e.Addr] = true
		}
	}
	for a := range s.numbers(b.Prefix) {
		out[a] = true
	}
	return out
}

// TestStateIsWrittenWhereItStays: a folder of everybody's, as $TMPDIR may be, never has it.
func TestStateIsWrittenWhereItStays(t *testing.T) {
	everybodys, dir := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", everybodys)
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(everybodys, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := writeFile(dir, stateFile, stored{Version: stateVersion}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(everybodys); err != nil || time.Since(info.ModTime()) < time.Minute {
		t.Errorf("something was made there: %v", err)
	}
}
