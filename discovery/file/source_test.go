package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

func TestNew(t *testing.T) {
	for path, ok := range map[string]bool{
		"/etc/slotsync/endpoints/*.yaml": true, "/a/web.json": true, "/a/w?b-[0-9].yml": true, "/*.yaml": true,
		"": false, "a/*.yaml": false, "/a/*": false, "/a/": false, "/a/.yaml": false, "/a/*.toml": false, "/*/a.yaml": false, "/a/[.yaml": false,
	} {
		f, err := New(Options{Path: path})
		if (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil && f.path() != path {
			t.Errorf("%s became %s", path, f.path())
		}
	}
}

func TestServices(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1, 2)+"- targets: [10.0.0.3:80, nonsense]\n  labels: {service: api}\n")
	write(t, dir, "api.yaml", "- targets: [10.0.0.4:80]\n  labels: {weight: 0}\n")
	write(t, dir, "other.yml", group(5))
	write(t, dir, ".hidden.yaml", group(6))
	for service, want := range map[string]string{"web": "1 2", "api": "3 4 drain", "": "1 2 3 4 drain", "none": ""} {
		s := open(t, dir, service)
		for what, ask := range map[string]func(context.Context) (discovery.Reading, error){"Next": s.Next, "Confirm": s.Confirm} {
			// What was written a moment ago may be half of it, which is waited for.
			r, err := ask(t.Context())
			if got := discoverytest.Describe(r); err != nil || got != want || !r.Whole() {
				t.Errorf("%s of %q: %q %v, want %q", what, service, got, err, want)
			}
			if rejected := len(r.Rejected); (rejected == 1) != (service == "api" || service == "") {
				t.Errorf("%s of %q: rejected %v", what, service, r.Rejected)
			}
		}
	}
	if name := open(t, dir, "web").String(); name != "service web in files "+dir+"/*.yaml" {
		t.Error(name)
	}
}

// Where the system tells nothing, files are looked at every 2 seconds.
func TestDeaf(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1, 2))
	synctest.Test(t, func(t *testing.T) {
		s := source(t, unwatched(files(t, dir)), "web")
		w := discoverytest.Watch(t, s)
		w.Is(t, "1 2")
		begin := time.Now()
		replace(t, dir, "web.yaml", group(2, 3))
		w.Is(t, "2 3 ~")
		w.Is(t, "2 3")
		if took := time.Since(begin); took > unwatchedScan+settle+100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		a := s.Activity()
		if len(a.Remarks) != 1 || !strings.Contains(a.Remarks[0], "every 2s: too many open files") || a.Answer != "1 file: 2 endpoints" {
			t.Errorf("%+v", a)
		}
	})
}

func TestTheSameIsToldAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	synctest.Test(t, func(t *testing.T) {
		w := discoverytest.Watch(t, source(t, unwatched(files(t, dir)), "web"))
		time.Sleep(10 * time.Minute)
		updates := w.End()
		if n := len(updates); n < 19 || n > 22 || len(discoverytest.History(updates)) > 2 {
			t.Errorf("%d updates: %q", n, discoverytest.History(updates))
		}
	})
}

func TestRemovedFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	write(t, dir, "more.yaml", "- targets: [10.0.0.2:80]\n  labels: {service: web}")
	synctest.Test(t, func(t *testing.T) {
		w := discoverytest.Watch(t, source(t, unwatched(files(t, dir)), "web"))
		w.Is(t, "1 2")
		begin := time.Now()
		do(t, os.Remove(filepath.Join(dir, "more.yaml")))
		w.Is(t, "1")
		if took := time.Since(begin); took < grace || took > unwatchedScan+grace+100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		do(t, os.Rename(filepath.Join(dir, "web.yaml"), filepath.Join(dir, "web.yaml.old")))
		time.Sleep(unwatchedScan)
		do(t, os.Rename(filepath.Join(dir, "web.yaml.old"), filepath.Join(dir, "web.yaml")))
		time.Sleep(time.Minute)
		want := []string{"1 2", "1"}
		if got := discoverytest.History(w.End()); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// A service whose file is removed while others stay is known to have nothing.
func TestRemovedService(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	write(t, dir, "api.yaml", group(2))
	synctest.Test(t, func(t *testing.T) {
		w := discoverytest.Watch(t, source(t, unwatched(files(t, dir)), "web"))
		w.Is(t, "1")
		do(t, os.Remove(filepath.Join(dir, "web.yaml")))
		w.Is(t, "")
	})
}

// A directory that is gone, or that holds no file any more, says nothing for as
// long as that lasts.
func TestF6NothingThere(t *testing.T) {
	for name, test := range map[string]struct {
		path        string
		take, bring func(dir string) error
		class       string
	}{
		"the directory is renamed": {"*.yaml", func(dir string) error { return os.Rename(dir, dir+".gone") },
			func(dir string) error { return os.Rename(dir+".gone", dir) }, "transport"},
		"the directory is a file": {"*.yaml", func(dir string) error {
			if err := os.Rename(dir, dir+".gone"); err != nil {
				return err
			}
			return os.WriteFile(dir, []byte(group(9)), 0o600)
		}, func(dir string) error { _ = os.Remove(dir); return os.Rename(dir+".gone", dir) }, "transport"},
		"no file is left": {"*.yaml", func(dir string) error { return os.Rename(dir+"/web.yaml", dir+"/web") },
			func(dir string) error { return os.Rename(dir+"/web", dir+"/web.yaml") }, "server"},
		"the file is gone": {"web.yaml", func(dir string) error { return os.Rename(dir+"/web.yaml", dir+"/web") },
			func(dir string) error { return os.Rename(dir+"/web", dir+"/web.yaml") }, "server"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			do(t, os.Mkdir(dir, 0o700))
			write(t, dir, "web.yaml", group(1))
			synctest.Test(t, func(t *testing.T) {
				f, err := New(Options{Path: filepath.Join(dir, test.path)})
				do(t, err)
				w := discoverytest.Watch(t, source(t, unwatched(f), "web"))
				w.Is(t, "1")
				do(t, test.take(dir))
				time.Sleep(2 * time.Hour)
				w.Is(t, test.class)
				updates, _ := w.Seen()
				for _, h := range discoverytest.History(updates) {
					if h != "1" && h != test.class {
						t.Errorf("it said %q", h)
					}
				}
				begin := time.Now()
				do(t, test.bring(dir))
				w.Is(t, "1")
				if took := time.Since(begin); took > unwatchedScan+settle {
					t.Errorf("it came back after %s", took)
				}
			})
		})
	}
}

func TestIllegible(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	write(t, dir, "api.yaml", group(2))
	synctest.Test(t, func(t *testing.T) {
		f := unwatched(files(t, dir))
		s := source(t, f, "web")
		web, api := discoverytest.Watch(t, s), discoverytest.Watch(t, source(t, f, "api"))
		web.Is(t, "1")
		api.Is(t, "2")
		write(t, dir, "web.yaml", "- targets: [10.0.0.9:80\n")
		write(t, dir, "api.yaml", group(2, 3))
		time.Sleep(time.Minute)
		u := web.Is(t, "?")
		if gaps := u.Reading.Gaps(); len(gaps) != 1 || !strings.HasPrefix(gaps[0], "web.yaml: protocol: line 1") {
			t.Errorf("gaps %q", gaps)
		}
		if a := s.Activity(); !strings.Contains(strings.Join(a.Remarks, "\n"), "web.yaml: line 1") {
			t.Errorf("%+v", a)
		}
		u = api.Is(t, "2 3 ?") // web.yaml could hold some of api: that is unknown, and no more
		if gaps := u.Reading.Gaps(); len(gaps) != 1 || !strings.HasPrefix(gaps[0], "web.yaml: protocol: line 1") {
			t.Errorf("gaps %q", gaps)
		}
		write(t, dir, "api.yaml", group(3))
		time.Sleep(time.Minute)
		u = api.Is(t, "3 ?")
		for _, p := range u.Reading.Parts {
			if (p.State == discovery.Whole) != (p.Name != "web.yaml") || (p.Parent == "") != (p.Name == dir+"/*.yaml") {
				t.Errorf("part %+v", p)
			}
		}
		write(t, dir, "web.yaml", group(1))
		web.Is(t, "1")
		api.Is(t, "3")
	})
}

// While nothing in the folder ever could be read, nothing is known; from then on a file
// that cannot be read is one that is unknown.
func TestNeverLegible(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", "half")
	synctest.Test(t, func(t *testing.T) {
		f := unwatched(files(t, dir))
		s := source(t, f, "web")
		web, api, all := discoverytest.Watch(t, s), discoverytest.Watch(t, source(t, f, "api")), discoverytest.Watch(t, source(t, f, ""))
		begin := time.Now()
		web.Is(t, "protocol")
		if took := time.Since(begin); took < settle/2 || took > settle+100*time.Millisecond {
			t.Errorf("it was said after %s", took)
		}
		all.Is(t, "protocol")
		api.Is(t, "?")
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Protocol || !strings.Contains(err.Error(), "web.yaml: ") {
			t.Errorf("confirmed: %v", err)
		}
		if a := s.Activity(); !strings.Contains(a.Answer, "protocol: web.yaml: ") {
			t.Errorf("%+v", a)
		}
		time.Sleep(time.Hour)
		write(t, dir, "api.yaml", group(2))
		web.Is(t, "?")
		all.Is(t, "2 ?")
		api.Is(t, "2 ?")
		if r, err := s.Confirm(t.Context()); err != nil || len(r.Gaps()) != 1 || !strings.HasPrefix(r.Gaps()[0], "web.yaml: protocol: ") {
			t.Errorf("confirmed beside another one: %+v, %v", r, err)
		}
		write(t, dir, "web.yaml", group(1))
		web.Is(t, "1")
		api.Is(t, "2")
		all.Is(t, "1 2")
		if got := discoverytest.History(web.End()); got[0] != "protocol" {
			t.Errorf("%q", got)
		}
	})
}

func TestTooMuch(t *testing.T) {
	dir := t.TempDir()
	many := func(from, n int) string {
		var hosts []int
		for i := range n {
			hosts = append(hosts, from+i)
		}
		return group(hosts...)
	}
	write(t, dir, "web.yaml", many(1, discovery.MaxEndpoints))
	s := open(t, dir, "")
	if r, err := s.Confirm(t.Context()); err != nil || len(r.Endpoints()) != discovery.MaxEndpoints {
		t.Errorf("%d endpoints, %v", len(r.Endpoints()), err)
	}
	write(t, dir, "more.yaml", many(20001, 1))
	if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Protocol {
		t.Errorf("one more: %v", err)
	}
	if r, err := open(t, dir, "more").Confirm(t.Context()); err != nil || len(r.Endpoints()) != 1 {
		t.Errorf("the other service: %d endpoints, %v", len(r.Endpoints()), err)
	}
	for i := range maxFiles {
		write(t, dir, fmt.Sprintf("%d.yaml", i), "[]")
	}
	if _, err := open(t, dir, "more").Confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("too many files: %v", err)
	}
}

// When the system lost count of the changes, it is not trusted for a while.
func TestOverflow(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	synctest.Test(t, func(t *testing.T) {
		f := files(t, dir)
		broken, closed := make(chan error), 0
		f.newWatcher = func(string) (*watcher, error) {
			return &watcher{events: make(chan fsnotify.Event), errors: broken, close: func() { closed++ }}, nil
		}
		s := source(t, f, "web")
		w := discoverytest.Watch(t, s)
		w.Is(t, "1")
		time.Sleep(5 * time.Second)
		write(t, dir, "web.yaml", group(1, 2))
		broken <- fsnotify.ErrEventOverflow
		begin := time.Now()
		w.Is(t, "1 2")
		if took := time.Since(begin); took != 0 {
			t.Errorf("what was there was seen after %s", took)
		}
		time.Sleep(time.Second)
		broken <- fsnotify.ErrEventOverflow
		time.Sleep(time.Second)
		write(t, dir, "web.yaml", group(1, 2, 3))
		w.Is(t, "1 2 3")
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("what came later was seen after %s", took)
		}
		w.End()
		if closed < 2 {
			t.Errorf("%d watchers were closed", closed)
		}
	})
}

// Many events at once are two looks: the first at once, the others together.
func TestBurst(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	synctest.Test(t, func(t *testing.T) {
		f := files(t, dir)
		events := make(chan fsnotify.Event)
		f.newWatcher = func(string) (*watcher, error) { return &watcher{events: events, close: func() {}}, nil }
		w := discoverytest.Watch(t, source(t, f, "web"))
		w.Is(t, "1")
		time.Sleep(5 * time.Second)
		write(t, dir, "web.yaml", group(1, 2))
		begin := time.Now()
		events <- fsnotify.Event{Name: filepath.Join(dir, "web.yaml"), Op: fsnotify.Write}
		w.Is(t, "1 2")
		if took := time.Since(begin); took != 0 {
			t.Errorf("the first was seen after %s", took)
		}
		for i := range 100 {
			write(t, dir, "web.yaml", group(1, 2, 3, i+4))
			events <- fsnotify.Event{Name: filepath.Join(dir, "web.yaml"), Op: fsnotify.Write}
			time.Sleep(time.Millisecond)
		}
		w.Is(t, "1 2 3 103")
		if n := len(w.End()); n > 10 {
			t.Errorf("%d updates", n)
		}
	})
}

func TestEndsWithContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	f := files(t, dir)
	var watches []*discoverytest.Watched
	for range 20 {
		w := discoverytest.Watch(t, source(t, f, "web"))
		w.Is(t, "1")
		watches = append(watches, w)
	}
	begin := time.Now()
	for _, w := range watches {
		w.Cancel()
	}
	for _, w := range watches {
		w.End()
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := source(t, f, "web")
	if _, err := s.Next(ctx); err != context.Canceled {
		t.Errorf("Next: %v", err)
	}
	if _, err := s.Confirm(ctx); err != context.Canceled {
		t.Errorf("Confirm: %v", err)
	}
	s.Recovered(ctx, context.Canceled)
}
