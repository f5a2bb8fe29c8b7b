package file

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A keeper does with the parts of readings what everybody does who goes by them.
type keeper map[string][]int // endpoints by part

func (k keeper) hear(r discovery.Reading) {
	states := map[string]discovery.Part{}
	for _, p := range r.Parts {
		states[p.Name] = p
		switch p.State {
		case discovery.Whole:
			k[p.Name] = hosts(p.Endpoints)
		case discovery.Partial:
			k[p.Name] = slices.Compact(slices.Sorted(slices.Values(append(hosts(p.Endpoints), k[p.Name]...))))
		}
	}
	for name := range k {
		if _, there := states[name]; !there && slices.ContainsFunc(r.Parts, func(p discovery.Part) bool { return p.Parent == "" && p.State == discovery.Whole }) {
			delete(k, name)
		}
	}
}

func (k keeper) all() []int {
	var out []int
	for _, hosts := range k {
		out = append(out, hosts...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func hosts(eps []discovery.Endpoint) (out []int) {
	for _, e := range eps {
		a := e.Addr.Addr().As4()
		out = append(out, int(a[2])<<8|int(a[3]))
	}
	return out
}

// A folder is what a test did to one, and what has to be known of it.
type folder struct {
	dir     string
	content map[string][]int // of the files that are there
	broken  map[string]bool  // and cannot be read
	known   map[string][]int // by file
}

// A change is what is done to one of the files.
type change struct {
	name, what string
	hosts      []int
}

// A turn is what happens at a time, and whether it does while nobody reads.
type turn struct {
	restart bool
	changes []change
}

func drawChange(rt *rapid.T) change {
	c := change{
		name: rapid.SampledFrom([]string{"web.yaml", "a.yaml", "b.yaml", "api.yaml"}).Draw(rt, "file"),
		what: rapid.SampledFrom([]string{"write", "write", "replace", "break", "remove"}).Draw(rt, "what"),
	}
	if c.what == "write" || c.what == "replace" {
		c.hosts = slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.IntRange(1, 9), 0, 4).Draw(rt, "hosts"))))
	}
	return c
}

func drawTurn(rt *rapid.T) turn {
	return turn{
		restart: rapid.IntRange(0, 4).Draw(rt, "restart") == 0,
		changes: rapid.SliceOfN(rapid.Custom(drawChange), 1, 3).Draw(rt, "changes"),
	}
}

func (f *folder) change(t *testing.T, c change) {
	text := strings.Replace(group(c.hosts...), "- targets:", "- labels: {service: web}\n  targets:", 1)
	switch c.what {
	case "remove":
		_ = os.Remove(filepath.Join(f.dir, c.name)) // it may be gone
		delete(f.content, c.name)
		return
	case "break":
		write(t, f.dir, c.name, "- targets: [")
	case "write":
		write(t, f.dir, c.name, text)
	case "replace":
		replace(t, f.dir, c.name, text)
	}
	f.content[c.name], f.broken[c.name] = c.hosts, c.what == "break"
}

// learn takes notice of what can be read now.
func (f *folder) learn() {
	maps.DeleteFunc(f.known, func(name string, _ []int) bool { _, there := f.content[name]; return !there })
	for name, list := range f.content {
		if !f.broken[name] {
			f.known[name] = list
		}
	}
}

// mayFail reports whether an error may be all that is known: no file says anything of
// the service.
func (f *folder) mayFail() bool {
	for name, list := range f.content {
		if !f.broken[name] && (len(list) > 0 || name == "web.yaml") {
			return false
		}
	}
	return true
}

// TestParts has any number of files whole, broken, missing and coming back, and restarts
// what reads them, also while something happens: an endpoint is there as long as a file
// says so, or said so last and cannot be read. No file has a say in what another holds.
func TestParts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		turns := rapid.SliceOfN(rapid.Custom(drawTurn), 1, 10).Draw(rt, "turns")
		wrong := ""
		synctest.Test(t, func(t *testing.T) { wrong = play(t, turns) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// play returns what is wrong after one of turns.
func play(t *testing.T, turns []turn) string {
	f := &folder{t.TempDir(), map[string][]int{}, map[string]bool{}, map[string][]int{}}
	k, heard := keeper{}, 0
	w := discoverytest.Watch(t, source(t, deaf(files(t, f.dir)), "web"))
	for i, turn := range turns {
		if turn.restart {
			w.End()
		}
		for _, c := range turn.changes {
			f.change(t, c)
		}
		if turn.restart {
			w, heard = discoverytest.Watch(t, source(t, deaf(files(t, f.dir)), "web")), 0
		}
		time.Sleep(40 * time.Second) // longer than a pause after an error
		updates, _ := w.Seen()
		for _, u := range updates[heard:] {
			if u.Err == nil {
				k.hear(u.Reading)
			}
		}
		heard = len(updates)
		last := updates[heard-1]
		switch {
		case last.Err == nil:
			f.learn()
		case !f.mayFail():
			return fmt.Sprintf("turn %d: %v: %v, broken %v", i, last.Err, f.content, f.broken)
		}
		if got, want := k.all(), keeper(f.known).all(); !slices.Equal(got, want) {
			return fmt.Sprintf("turn %d: %v are there, want %v: files %v, broken %v, last %+v", i, got, want, f.content, f.broken, last)
		}
	}
	return ""
}

// What was written a moment ago may be half of it: who asks once gets the whole a moment
// later, and no error.
func TestF1AskedJustAfterAWrite(t *testing.T) {
	for name, ask := range map[string]func(*Source, context.Context) (discovery.Reading, error){"Next": (*Source).Next, "Confirm": (*Source).Confirm} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				replace(t, dir, "web.yaml", group(1, 2))
				begin := time.Now()
				r, err := ask(source(t, deaf(files(t, dir)), "web"), t.Context())
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
	f.listen = func(dir string) (*bell, error) {
		rung, over := make(chan fsnotify.Event), make(chan struct{})
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
				case rung <- fsnotify.Event{Name: filepath.Join(dir, "web.yaml"), Op: fsnotify.Write}:
				}
			}
		}()
		return &bell{rung: rung, close: func() { close(over) }}, nil
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
		w := discoverytest.Watch(t, source(t, deaf(files(t, dir)), "web"))
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
		s := source(t, deaf(files(t, dir)), "web")
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
		s := source(t, deaf(files(t, dir)), "web")
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
