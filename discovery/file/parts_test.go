package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// What was written a moment ago may be half of it: who asks once gets the whole a moment
// later, and no error.
func TestF1AskedJustAfterAWrite(t *testing.T) {
	for name, ask := range map[string]func(*Source, context.Context) (discovery.Reading, error){"Next": (*Source).Next, "Confirm": (*Source).Confirm} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				replace(t, dir, "web.yaml", group(1, 2))
				begin := time.Now()
				r, err := ask(source(t, unwatched(files(t, dir)), "web"), t.Context())
				if got := discoverytest.Describe(r); got != "1 2" || err != nil || time.Since(begin) != settle {
					t.Errorf("%q, %v after %s", got, err, time.Since(begin))
				}
				// One that is written to all the time is told of as it is.
				var writer sync.WaitGroup
				writer.Go(func() {
					for i := range 100 {
						write(t, dir, "web.yaml", group(1, 10+i))
						time.Sleep(100 * time.Millisecond)
					}
				})
				time.Sleep(time.Millisecond)
				begin = time.Now()
				r, err = ask(source(t, hearing(files(t, dir)), "web"), t.Context())
				if took := time.Since(begin); r.Whole() || err != nil || took < patience || took > patience+settle {
					t.Errorf("written to all the time: %+v, %v after %s", r, err, took)
				}
				writer.Wait()
			})
		})
	}
}

// hearing makes f one that is told of changes ten times a second.
func hearing(f *Files) *Files {
	f.newWatcher = func(dir string) (*watcher, error) {
		events, over := make(chan fsnotify.Event), make(chan struct{})
		go func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(100 * time.Millisecond):
				}
				select {
				case <-over:
					return
				case events <- fsnotify.Event{Name: filepath.Join(dir, "web.yaml"), Op: fsnotify.Write}:
				}
			}
		}()
		return &watcher{events: events, close: func() { close(over) }}, nil
	}
	return f
}

// A loss by itself is told when it is believed, in one step; what comes with it is not
// kept waiting.
func TestLossesAreToldOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1, 2, 3))
	write(t, dir, "other.yaml", "- targets: [10.0.0.9:80]\n  labels: {service: web}")
	synctest.Test(t, func(t *testing.T) {
		w := discoverytest.Watch(t, source(t, unwatched(files(t, dir)), "web"))
		w.Is(t, "1 2 3 9")
		write(t, dir, "web.yaml", group(1, 2))
		time.Sleep(10 * time.Second)
		write(t, dir, "web.yaml", group(2, 4))
		time.Sleep(10 * time.Second)
		write(t, dir, "web.yaml", "- targets: [")
		time.Sleep(10 * time.Second)
		write(t, dir, "web.yaml", group(4))
		time.Sleep(10 * time.Second)
		want := []string{"1 2 3 9", "1 2 9", "2 4 9 ~", "2 4 9", "9 ?", "4 9 ~", "4 9"}
		if got := discoverytest.History(w.End()); !slices.Equal(got, want) {
			t.Errorf("it said %q, want %q", got, want)
		}
	})
}

// A file that nobody can read has no say in what the others hold, neither at the start
// nor later, and is named.
func TestF2AnotherFileIsIllegible(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "foreign.yaml", "- targets: [10.0.0.9:80")
	write(t, dir, "web.yaml", group(1, 2))
	synctest.Test(t, func(t *testing.T) {
		s := source(t, unwatched(files(t, dir)), "web")
		w := discoverytest.Watch(t, s)
		u := w.Is(t, "1 2 ?")
		if gaps := u.Reading.Gaps(); len(gaps) != 1 || !strings.HasPrefix(gaps[0], "foreign.yaml: protocol: line 1") {
			t.Errorf("gaps %q", gaps)
		}
		for _, set := range [][]int{{1, 2, 3}, {3}, {}, {4}} {
			write(t, dir, "web.yaml", group(set...))
			time.Sleep(10 * time.Second)
			updates, _ := w.Seen()
			r := updates[len(updates)-1].Reading
			if i := slices.IndexFunc(r.Parts, func(p discovery.Part) bool { return p.Name == "web.yaml" }); i < 0 || r.Parts[i].State != discovery.Whole ||
				!slices.Equal(hosts(r.Parts[i].Endpoints), set) && len(set) > 0 {
				t.Errorf("%v became %+v", set, r.Parts)
			}
		}
		if remarks := s.Activity().Remarks; !slices.ContainsFunc(remarks, func(s string) bool { return strings.HasPrefix(s, "foreign.yaml: line 1") }) {
			t.Errorf("remarks %q", remarks)
		}
		found := discovery.Diagnose(t.Context(), s)
		if !slices.ContainsFunc(found, func(f discovery.Finding) bool {
			return f.Verdict == discovery.Dubious && strings.HasPrefix(f.Text, "foreign.yaml, ")
		}) {
			t.Errorf("found %+v", found)
		}
	})
}

// A file that names nothing of the service any more says so, also if the only other one that
// might hold some of it never could be read; what breaks then takes nothing along.
func TestF5EmptyBesideOneThatNeverWasLegible(t *testing.T) {
	for what, left := range map[string]string{"nothing": "[]", "another service": "- targets: [10.0.0.5:80]\n  labels: {service: api}"} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "web.yaml", "- targets: [")
			write(t, dir, "a.yaml", "- targets: [10.0.0.1:80]\n  labels: {service: web}")
			synctest.Test(t, func(t *testing.T) {
				kept, heard := discoverytest.Keeper{}, 0
				w := discoverytest.Watch(t, source(t, unwatched(files(t, dir)), "web"))
				is := func(want ...int) {
					t.Helper()
					time.Sleep(40 * time.Second)
					updates, _ := w.Seen()
					for _, u := range updates[heard:] {
						if u.Err != nil {
							t.Errorf("it said %v", u.Err)
							continue
						}
						kept.Take(u.Reading)
					}
					heard = len(updates)
					if got := hosts(kept.Endpoints()); !slices.Equal(got, want) {
						t.Errorf("%v are there, want %v", got, want)
					}
				}
				is(1)
				write(t, dir, "a.yaml", left)
				is()
				write(t, dir, "a.yaml", "- targets: [")
				write(t, dir, "b.yaml", "- targets: [10.0.0.2:80]\n  labels: {service: web}")
				is(2)
			})
		})
	}
}

// A file that is deleted is no part any more, also if nobody was there to see it go.
func TestF3DeletedWhileNobodyReads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	write(t, dir, "more.yaml", "- targets: [10.0.0.2:80]\n  labels: {service: web}")
	names := func() (out []string) {
		r, err := open(t, dir, "web").Confirm(t.Context())
		do(t, err)
		for _, p := range r.Parts {
			out = append(out, p.Name+" "+p.State.String())
		}
		return out
	}
	folder := dir + "/*.yaml whole"
	if got := names(); !slices.Equal(got, []string{folder, "more.yaml whole", "web.yaml whole"}) {
		t.Errorf("parts %q", got)
	}
	do(t, os.Remove(filepath.Join(dir, "more.yaml")))
	if got := names(); !slices.Equal(got, []string{folder, "web.yaml whole"}) {
		t.Errorf("parts %q", got)
	}
}

// Where the folder cannot be listed, what is known of it is read on: what comes there
// counts, and what is not seen any more is not gone.
func TestF4FolderThatCannotBeListed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	write(t, dir, "more.yaml", "- targets: [10.0.0.2:80]\n  labels: {service: web}")
	synctest.Test(t, func(t *testing.T) {
		s := source(t, unwatched(files(t, dir)), "web")
		w := discoverytest.Watch(t, s)
		w.Is(t, "1 2")
		for i := range maxFiles {
			write(t, dir, fmt.Sprintf("%d.yaml", i), "[]")
		}
		do(t, os.Remove(filepath.Join(dir, "more.yaml")))
		write(t, dir, "web.yaml", group(1, 3))
		time.Sleep(time.Minute)
		u := w.Is(t, "1 3 ?")
		want := []string{dir + "/*.yaml: transport: ", "more.yaml: protocol: it cannot be read, and its folder cannot be listed"}
		if gaps := u.Reading.Gaps(); len(gaps) != 2 || !strings.HasPrefix(gaps[0], want[0]) || gaps[1] != want[1] {
			t.Errorf("gaps %q", gaps)
		}
		found := discovery.Diagnose(t.Context(), s)
		if found[0].Verdict != discovery.Faulty || !strings.HasPrefix(found[0].Text, "there may be more files: ") {
			t.Errorf("found %+v", found[0])
		}
		if remarks := s.Activity().Remarks; len(remarks) == 0 || !strings.HasPrefix(remarks[0], "there may be more files: ") {
			t.Errorf("remarks %q", remarks)
		}
		for i := range maxFiles {
			do(t, os.Remove(filepath.Join(dir, fmt.Sprintf("%d.yaml", i))))
		}
		w.Is(t, "1 3")
	})
}

// Each file is another part, whatever it is called.
func TestPartNames(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"web.yaml", "wéb.yaml", "a\x01.yaml", "a\x02.yaml", "a..yaml", "a\xff.yaml", "a\nb.yaml", `"a".yaml`, strings.Repeat("x", 250) + ".yaml"} {
		part := partName(name)
		if discovery.Printable(part, len(part)) != part || seen[part] != "" {
			t.Errorf("%q is %q, as is %q", name, part, seen[part])
		}
		if seen[part] = name; strings.HasPrefix(name, "w") && part != name {
			t.Errorf("%q is %q", name, part)
		}
	}
}
