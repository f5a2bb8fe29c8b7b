package file

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

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

// all are the hosts that are there.
func (f *folder) all() []int {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(f.known))...))))
}

// mayFail reports whether an error may be all that is known: no file can be read.
func (f *folder) mayFail() bool {
	for name := range f.content {
		if !f.broken[name] {
			return false
		}
	}
	return true
}

// TestF5Parts has any number of files whole, broken, missing and coming back, and restarts
// what reads them, also while something happens: an endpoint is there as long as a file
// says so, or said so last and cannot be read. No file has a say in what another holds.
func TestF5Parts(t *testing.T) {
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
	k, heard := discoverytest.Keeper{}, 0
	w := discoverytest.Watch(t, source(t, unwatched(files(t, f.dir)), "web"))
	for i, turn := range turns {
		if turn.restart {
			w.End()
		}
		for _, c := range turn.changes {
			f.change(t, c)
		}
		if turn.restart {
			w, heard = discoverytest.Watch(t, source(t, unwatched(files(t, f.dir)), "web")), 0
		}
		time.Sleep(40 * time.Second) // longer than a pause after an error
		updates, _ := w.Seen()
		for _, u := range updates[heard:] {
			if u.Err == nil {
				k.Take(u.Reading)
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
		if got, want := hosts(k.Endpoints()), f.all(); !slices.Equal(got, want) {
			return fmt.Sprintf("turn %d: %v are there, want %v: files %v, broken %v, last %+v", i, got, want, f.content, f.broken, last)
		}
	}
	return ""
}
