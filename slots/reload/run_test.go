package reload

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/slotsync/slotsync/slots"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		res, err := tr.Run(t.Context(), Request{Data: web(10), Reason: "overflow"})
		if err != nil {
			t.Fatal(err)
		}
		if s.onDisk(t) != rendered(10) || s.running().Text != rendered(10) {
			t.Errorf("the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
		}
		if !res.Changed || res.Step != StepWorker || res.Workers["edge-1"].Pid != 101 || res.Words != "reloaded" || res.Reason != "overflow" {
			t.Errorf("got %+v", res)
		}
		versions, err := tr.Versions()
		if err != nil || len(versions) != 2 || !versions[0].Good || versions[0].ID != res.Version ||
			versions[1].Good || versions[1].Reason != foundNote {
			t.Fatalf("got %+v, %v", versions, err)
		}
		if _, text, err := tr.Version(versions[1].ID); err != nil || string(text) != "backend old\n" {
			t.Errorf("got %q, %v", text, err)
		}
		wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	})
}

// wantOnly fails the test if other files are left in the site.
func wantOnly(t *testing.T, s site, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("there is %v, want %v", got, names)
	}
}

func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		mustRun(t, tr, Request{Data: web(10)})
		if res := mustRun(t, tr, Request{Data: web(10)}); res.Changed || res.Step != StepRender || s.running().Pid != 101 {
			t.Errorf("nothing had changed, yet: %+v, pid %d", res, s.running().Pid)
		}
		if res := mustRun(t, tr, Request{Data: web(10), By: "ann"}); res.Changed || res.Step != StepWorker || s.running().Pid != 102 {
			t.Errorf("ann had asked, yet: %+v, pid %d", res, s.running().Pid)
		}
		if res := mustRun(t, s.open(t), Request{Data: web(20)}); !res.Changed || s.running().Text != rendered(20) {
			t.Errorf("got %+v", res)
		}
	})
}

func mustRun(t *testing.T, tr *Transaction, r Request) Result {
	t.Helper()
	res, err := tr.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestChangedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		wantChanged(t, tr, false)
		mustRun(t, tr, Request{Data: web(10)})
		wantChanged(t, tr, false)
		s.put(t, s.file(), "by hand\n")
		wantChanged(t, tr, true)
		_, err := tr.Run(t.Context(), Request{Data: web(20), By: "ann"})
		wantFailure(t, err, StepReplace, false, "changed by hand")
		if !errors.Is(err, ErrChangedByHand) || s.onDisk(t) != "by hand\n" {
			t.Errorf("got %v, file %q", err, s.onDisk(t))
		}
		mustRun(t, tr, Request{Data: web(20), By: "ann", Force: true})
		wantChanged(t, tr, false)
		versions, _ := tr.Versions()
		if len(versions) != 4 || versions[1].SHA256 != sum([]byte("by hand\n")) || versions[0].By != "ann" {
			t.Errorf("got %+v", versions)
		}
		if err := os.Remove(s.file()); err != nil {
			t.Fatal(err)
		}
		wantChanged(t, tr, true)
	})
}

func wantChanged(t *testing.T, tr *Transaction, want bool) {
	t.Helper()
	if got, err := tr.ChangedByHand(); err != nil || got != want {
		t.Errorf("changed by hand: %t, %v; want %t", got, err, want)
	}
}

// TestChangedMeanwhile changes the file while the check runs.
func TestChangedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		tr.reached = func(at string) {
			if at == "kept what was rendered" {
				s.put(t, s.file(), "by hand\n")
			}
		}
		_, err := tr.Run(t.Context(), Request{Data: web(10), Force: true})
		if !errors.Is(err, ErrChangedByHand) || s.onDisk(t) != "by hand\n" {
			t.Errorf("got %v, file %q", err, s.onDisk(t))
		}
	})
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		first := mustRun(t, tr, Request{Data: web(10)})
		mustRun(t, tr, Request{Data: web(20)})
		res, err := tr.Restore(t.Context(), first.Version, "ann")
		if err != nil || s.running().Text != rendered(10) || s.onDisk(t) != rendered(10) {
			t.Errorf("got %+v, %v", res, err)
		}
		versions, _ := tr.Versions()
		if len(versions) != 4 || versions[0].Reason != "restore of "+first.Version || versions[0].By != "ann" || !versions[0].Good {
			t.Errorf("got %+v", versions)
		}
		wantChanged(t, tr, false)
		for _, id := range []string{"", "../journal", "20260101T000000.000Z-00000000"} {
			if _, err := tr.Restore(t.Context(), id, "ann"); !errors.Is(err, slots.ErrNoVersion) {
				t.Errorf("%q: got %v", id, err)
			}
		}
		if err := os.WriteFile(tr.path(versions[0].ID, textEnd), []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Restore(t.Context(), versions[0].ID, "ann"); err == nil {
			t.Error("a version that was changed is restored")
		}
	})
}

func TestFirstFile(t *testing.T) {
	for _, how := range []string{"", "refuses"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.how = how
				os.Remove(s.file())
				_, err := s.open(t).Run(t.Context(), Request{Data: web(10)})
				_, lost := os.Stat(s.file())
				if (err != nil) != (how != "") || (lost != nil) != (how != "") {
					t.Errorf("got %v, %v", err, lost)
				}
			})
		})
	}
}

func TestForeignFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		o := s.options()
		o.Template, o.Check = "", []string{"grep", "-q", "old", fileMark}
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if res := mustRun(t, tr, Request{By: "ann"}); res.Changed || res.Workers["edge-1"].Pid != 101 || tr.Renders() {
			t.Errorf("got %+v", res)
		}
		s.put(t, s.file(), "new\n")
		_, err = tr.Run(t.Context(), Request{By: "ann"})
		wantFailure(t, err, StepCheck, false, "exit status 1")
		if _, err := tr.Restore(t.Context(), "x", "ann"); !errors.Is(err, slots.ErrNoVersion) {
			t.Errorf("got %v", err)
		}
		wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "running")
	})
}

func TestBusy(t *testing.T) {
	s := newSite(t)
	a, b := s.open(t), s.open(t)
	a.reached = func(at string) {
		if at != "replaced" {
			return
		}
		for _, tr := range []*Transaction{a, b} {
			if _, err := tr.Run(t.Context(), Request{Data: web(20)}); !errors.Is(err, ErrBusy) {
				t.Errorf("got %v", err)
			}
			if _, _, err := tr.Recover(t.Context()); !errors.Is(err, ErrBusy) {
				t.Errorf("got %v", err)
			}
		}
	}
	mustRun(t, a, Request{Data: web(10)})
	mustRun(t, b, Request{Data: web(20)})
}

// A shared reloader is one that others have as well.
type shared struct {
	Reloader
	held *atomic.Bool
}

// Lock fails if somebody has it.
func (s shared) Lock() (io.Closer, error) {
	if !s.held.CompareAndSwap(false, true) {
		return nil, errors.New("pid 7 has it")
	}
	return s, nil
}

// Close lets others have it.
func (s shared) Close() error { s.held.Store(false); return nil }

// TestOneReloadsAtATime: two files of their own, and one master.
func TestOneReloadsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Bool
		open := func(s site) *Transaction {
			o := s.options()
			o.Reloader = shared{o.Reloader, &held}
			tr, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			return tr
		}
		busy := func(when string, err error) {
			if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "pid 7 has it") {
				t.Errorf("%s: %v", when, err)
			}
		}
		one, other := newSite(t), newSite(t)
		a, b := open(one), open(other)
		a.reached = func(at string) {
			if at != "about to reload" {
				return
			}
			_, err := b.Run(t.Context(), Request{Data: web(20), By: "ann"})
			busy("run", err)
			_, err = b.Edit(t.Context(), Edit{Type: "backend", Name: "more", Body: []byte(moreSection), By: "ann", Data: web(10)})
			busy("edit", err)
			if _, _, err := b.Recover(t.Context()); err != nil {
				t.Errorf("with nothing to recover: %v", err)
			}
		}
		mustRun(t, a, Request{Data: web(10)})
		if other.onDisk(t) != "backend old\n" {
			t.Errorf("the other file is %q", other.onDisk(t))
		}
		b.reached = func(at string) {
			if at == "replaced" {
				panic(at)
			}
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = b.Run(t.Context(), Request{Data: web(20)})
		}()
		b = open(other)
		held.Store(true)
		_, _, err := b.Recover(t.Context())
		busy("recover", err)
		held.Store(false)
		if _, had, err := b.Recover(t.Context()); err != nil || !had || other.running().Text != rendered(20) || held.Load() {
			t.Errorf("later: %t, %v, HAProxy runs %q", had, err, other.running().Text)
		}
	})
}

func TestModeOwnerAndLink(t *testing.T) {
	s := newSite(t)
	real := filepath.Join(s.dir, "real.cfg")
	if err := os.Rename(s.file(), real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.cfg", s.file()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o604); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 12345
		if err := os.Chown(real, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, s.open(t), Request{Data: web(10)})
	info, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != 0o604 || int(got) != owner {
		t.Errorf("got mode %s, owner %d", info.Mode(), got)
	}
	if to, err := os.Readlink(s.file()); err != nil || to != "real.cfg" {
		t.Errorf("the link is %q, %v", to, err)
	}
	for _, c := range []struct {
		path string
		mode os.FileMode
	}{{s.kept(), os.ModeDir | 0o700}, {filepath.Join(s.kept(), journalFile), 0o600}} {
		if info, err := os.Stat(c.path); err != nil || info.Mode() != c.mode {
			t.Errorf("%s: %v, %v", c.path, info.Mode(), err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	s := site{dir: "/etc/haproxy"}
	for name, spoil := range map[string]func(*Options){
		"no reloader":    func(o *Options) { o.Reloader = nil },
		"no instance":    func(o *Options) { o.Instances = nil },
		"twice":          func(o *Options) { o.Instances = append(o.Instances, o.Instances[0]) },
		"no file":        func(o *Options) { o.File = "" },
		"no folder":      func(o *Options) { o.Dir = "" },
		"file's folder":  func(o *Options) { o.Dir = "/etc/haproxy/" },
		"other file":     func(o *Options) { o.Check = []string{"haproxy", "-c"} },
		"negative":       func(o *Options) { o.Keep = -1 },
		"check, no file": func(o *Options) { o.Template, o.File, o.Check = "", "", []string{"a", fileMark} },
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			spoil(&o)
			if tr, err := New(o); err == nil {
				t.Errorf("got %v", tr)
			}
		})
	}
}

func TestErrorWithoutWords(t *testing.T) {
	e := &Error{Step: StepReload, Err: errors.Join(errors.New("a"), errors.New("b"))}
	if got, want := e.Error(), "step reload failed: a: b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := shorten(strings.Repeat("ä", 1000)); len(got) > 303 || !strings.HasSuffix(got, "ä...") {
		t.Errorf("got %q", got)
	}
	if got, want := clean("a\x1b[31mb\x00\xff\n\tc\n"), "a[31mb\uFFFD\n\tc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A reload that is said to have failed although every instance shows a new worker
// is not rolled back: HAProxy runs the new file.
func TestFailedThatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		o := s.options()
		o.Reloader = sulky{o.Reloader}
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		res := mustRun(t, tr, Request{Data: web(10), Reason: "overflow"})
		if res.RolledBack || !res.Changed || s.onDisk(t) != rendered(10) || !strings.Contains(res.Words, "exit status 1") {
			t.Errorf("got %+v, the file is %q", res, s.onDisk(t))
		}
	})
}

// A sulky reloader does what it is to and says that it failed.
type sulky struct{ Reloader }

// Reload reloads and fails.
func (s sulky) Reload(ctx context.Context) (string, error) {
	words, err := s.Reloader.Reload(ctx)
	return words, errors.Join(err, errors.New("exit status 1"))
}
