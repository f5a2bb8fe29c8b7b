package agent

import (
	"slices"
	"testing"
	"time"
)

// This file changes how HAProxy is reloaded: what was tried, and how often, goes with the file.

// TestReloadThatIsConfiguredAgain: what was tried, and how often, is not forgotten where a way to
// reload is not configured for a while, whether slotsync is restarted then or a reload runs.
func TestReloadThatIsConfiguredAgain(t *testing.T) {
	t.Parallel()
	for _, during := range []string{"nothing", "a restart", "a reload"} {
		t.Run(during, func(t *testing.T) {
			t.Parallel()
			f := &fakeReload{stuck: true}
			managed(t, f, func(w *world) {
				w.opts.Reloads[0].MaxPerHour = 2
				w.start()
				w.source.list(span(80, 84)...)
				for end := time.Now().Add(time.Minute); time.Now().Before(end) && (during != "a reload" || !w.status().Reloads[0].Running); {
					w.pass(20 * time.Millisecond)
				}
				with, without := w.opts, w.opts
				without.Reloads = nil
				for _, next := range []Options{without, without, with} {
					if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
						w.t.Fatal(err)
					}
					if during == "a restart" {
						w.stop()
						w.opts = next
						w.start()
						w.source.list(span(80, 84)...)
					}
					w.pass(time.Minute)
				}
				if n := len(f.ran()); n != 1 {
					t.Errorf("%d runs for one cause", n)
				}
				f.with(func() { f.tag = "2" })
				w.pass(10 * time.Minute)
				f.with(func() { f.tag = "3" })
				w.pass(10 * time.Minute)
				if n := len(f.ran()); n != 2 {
					t.Errorf("%d runs in an hour, 2 are allowed", n)
				}
			})
		})
	}
}

// TestReloadIsOfItsFile: what was tried of a file is known whatever the reload is called, and says
// nothing of another file that comes under a name that was free.
func TestReloadIsOfItsFile(t *testing.T) {
	t.Parallel()
	one := Reload{Name: "haproxy", Key: "one", File: "/etc/one.cfg", Instances: []string{"a", "b"}, MinInterval: 30 * time.Second, MaxPerHour: 10}
	renamed, another := one, one
	renamed.Name, renamed.Key = "renamed", "renamed"
	another.Key, another.File = "other", "/etc/other.cfg"
	for name, steps := range map[string][][]Reload{
		"another name":                   {{renamed}, {one}},
		"another file under a free name": {{}, {another}, {another, renamed}, {renamed}},
		"back to its file":               {{}, {another}, {one}},
		"over a restart":                 {{}, nil, {another}, nil, {another, renamed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, other := &fakeReload{stuck: true}, &fakeReload{stuck: true}
			managed(t, f, func(w *world) {
				other.tag = f.tag
				w.opts.Reloads = ofFiles(f, other, one)
				w.start()
				w.source.list(span(80, 84)...)
				w.pass(time.Minute)
				for _, step := range steps {
					if step == nil {
						w.stop()
						w.start()
						w.source.list(span(80, 84)...)
					} else {
						w.opts.Reloads = ofFiles(f, other, step...)
						if err := w.agent.Reconfigure(w.t.Context(), w.opts); err != nil {
							w.t.Fatal(err)
						}
					}
					w.pass(3 * time.Minute)
				}
				want := 0
				if slices.ContainsFunc(steps, func(step []Reload) bool { return len(step) > 0 && step[0].File == another.File }) {
					want = 1
				}
				if n, m := len(f.ran()), len(other.ran()); n != 1 || m != want {
					t.Errorf("%d runs of the one file, %d of the other", n, m)
				}
			})
		})
	}
}

// ofFiles gives reloads the transactions of their files.
func ofFiles(one, other *fakeReload, reloads ...Reload) []Reload {
	reloads = slices.Clone(reloads)
	for i := range reloads {
		if reloads[i].Transaction = other; reloads[i].File == "/etc/one.cfg" {
			reloads[i].Transaction = one
		}
	}
	return reloads
}

// TestPairReloads: each goes on from the one that it is nearest to.
func TestPairReloads(t *testing.T) {
	is := func(name, file string) Reload { return Reload{Name: name, File: file} }
	for _, c := range []struct {
		name   string
		known  []Reload
		former int // so many of known, at the end
		next   []Reload
		want   []int
	}{
		{"as they were", []Reload{is("a", "/a"), is("b", "/b")}, 0, []Reload{is("b", "/b"), is("a", "/a")}, []int{1, 0}},
		{"other names", []Reload{is("a", "/a"), is("b", "/b")}, 0, []Reload{is("b", "/a"), is("a", "/b")}, []int{0, 1}},
		{"another file in its place", []Reload{is("a", "/a")}, 0, []Reload{is("a", "/new")}, []int{0}},
		{"another file in the place of one that was taken out", []Reload{is("a", "/a")}, 1, []Reload{is("a", "/new")}, []int{-1}},
		{"its own goes before its name", []Reload{is("a", "/new"), is("a", "/a")}, 1, []Reload{is("a", "/a")}, []int{1}},
		{"one with the same file is there before", []Reload{is("b", "/a")}, 0, []Reload{is("a", "/a"), is("b", "/a")}, []int{-1, 0}},
		{"another file beside its own, which another one has", []Reload{is("x", "/a"), is("y", "/a")}, 1, []Reload{is("y", "/a"), is("x", "/new")}, []int{1, -1}},
		{"of the release before", []Reload{is("a", ""), is("b", "")}, 0, []Reload{is("a", "/a"), is("b", "")}, []int{0, 1}},
		{"of the release before, and taken out", []Reload{is("a", "")}, 1, []Reload{is("a", "/a")}, []int{0}},
	} {
		var known []*reloading
		for i, r := range c.known {
			known = append(known, &reloading{Reload: r, former: i >= len(c.known)-c.former})
		}
		if got := pairReloads(known, c.next); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRoundForgetsNoReload: a round by hand reloads nothing, and what was tried before is not tried
// again after it.
func TestRoundForgetsNoReload(t *testing.T) {
	t.Parallel()
	f := &fakeReload{stuck: true}
	managed(t, f, func(w *world) {
		w.start()
		w.source.list(span(80, 84)...)
		w.pass(time.Minute)
		w.stop()
		w.source = newSource(span(80, 84)...)
		w.opts.Backends[0].Feeds[0].Source = w.source
		a, err := New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Once(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.source = newSource(span(80, 84)...)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Hour)
		if n := len(f.ran()); n != 1 {
			t.Errorf("%d runs for one cause", n)
		}
	})
}
