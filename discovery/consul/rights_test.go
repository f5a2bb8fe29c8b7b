package consul

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

const token = "7a1bd6c2-0000-4000-8000-00000000beef"

// withToken are options with a token that may read everything, until the fake hides
// something from it.
func withToken() Options { return Options{Token: func() string { return token }} }

// instancesOf returns the instances with these numbers, which are the last parts of their
// addresses.
func instancesOf(numbers ...int) (out []*api.ServiceEntry) {
	all := consultest.Instances(20)
	for _, n := range numbers {
		out = append(out, all[n-1])
	}
	return out
}

// said waits until everything has been, and returns what was published since n.
func said(w *discoverytest.Watched, n int) ([]string, int) {
	synctest.Wait()
	updates, _ := w.Seen()
	return discoverytest.History(updates[n:]), len(updates)
}

// TestC59FilteredFromTheStart has a token that may read some nodes only. What it lists is
// all that there is for it.
func TestC59FilteredFromTheStart(t *testing.T) {
	for name, stream := range map[string]bool{"with streams": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Stream(stream)
				f.Hide(token, "node-web-1", "node-web-2")
				f.Set("web", instancesOf(1, 2, 3, 4, 5)...)
				s := fakeSource(t, f, withToken(), Query{})
				w := discoverytest.Watch(t, s)
				time.Sleep(time.Second)
				for _, set := range [][]int{{1, 2, 3, 5}, {1, 3, 5, 6}, {1, 5, 6}, {1}, {1, 6}} {
					f.Set("web", instancesOf(set...)...)
					time.Sleep(20 * time.Second)
				}
				got, n := said(w, 0)
				if stream { // what comes with a loss does not wait for the plain read
					got = slices.DeleteFunc(got, func(s string) bool { return s == "5 6 ~" || s == "3 5 6 ~" })
				}
				want := []string{"3 4 5", "3 5", "3 5 6", "5 6", "", "6"}
				if !slices.Equal(got, want) {
					t.Errorf("it said %q, want %q", got, want)
				}
				// After a restart it is still so.
				after := fakeSource(t, f, withToken(), Query{})
				discovery.Remind(after, discovery.MemoryOf(s))
				f.Set("web", instancesOf(1, 2)...)
				time.Sleep(20 * time.Second)
				if r, err := after.Next(t.Context()); err != nil || discoverytest.Describe(r) != "" {
					t.Errorf("after a restart, when nothing is left: %+v, %v", r, err)
				}
				if got, _ = said(w, n); !slices.Equal(got, []string{""}) {
					t.Errorf("nothing is left: %q", got)
				}
			})
		})
	}
}

// TestC60NewlyFiltered plays what may happen to the rights of a token, each step to a
// source that goes on and to one that is started anew after each step.
func TestC60NewlyFiltered(t *testing.T) {
	type step struct {
		set    []int
		hide   []int
		accept bool
		want   string // of the one that goes on
		anew   string // of the one that was restarted
	}
	tests := map[string][]step{
		"narrowed, and widened again": {
			{set: []int{1, 2, 3}, want: "1 2 3", anew: "1 2 3"},
			{hide: []int{2}, want: "1 3 ~", anew: "1 3 ~"},
			{set: []int{1, 2}, hide: []int{2}, want: "1 ~", anew: "1 ~"},
			{want: "1 2", anew: "1 2"},
			{set: []int{1}, want: "1", anew: "1"},
		},
		"accepted": {
			{set: []int{1, 2, 3}, want: "1 2 3", anew: "1 2 3"},
			{hide: []int{2}, want: "1 3 ~", anew: "1 3 ~"},
			{hide: []int{2}, accept: true, want: "1 3", anew: "1 3"},
			{set: []int{1, 2}, hide: []int{2}, want: "1", anew: "1"},
		},
		"accepted, widened, and narrowed once more": {
			{set: []int{1, 2, 3}, want: "1 2 3", anew: "1 2 3"},
			{hide: []int{2}, want: "1 3 ~", anew: "1 3 ~"},
			{hide: []int{2}, accept: true, want: "1 3", anew: "1 3"},
			{want: "1 2 3", anew: "1 2 3"},
			{hide: []int{3}, want: "1 2 ~", anew: "1 2 ~"},
		},
		// What was never there for the token can come and go without its knowing. One that
		// was restarted does not know what there was, and is careful.
		"an instance comes that may not be read": {
			{set: []int{1, 2}, hide: []int{3}, want: "1 2", anew: "1 2"},
			{set: []int{1, 2, 3}, hide: []int{3}, want: "1 2", anew: "1 2 ~"},
			{set: []int{1, 3}, hide: []int{3}, want: "1", anew: "1 ~"},
			{set: []int{1}, hide: []int{3}, want: "1", anew: "1"},
		},
		"accepting what is whole changes nothing": {
			{set: []int{1, 2, 3}, accept: true, want: "1 2 3", anew: "1 2 3"},
			{hide: []int{2}, want: "1 3 ~", anew: "1 3 ~"},
		},
		"narrowed to nothing": {
			{set: []int{1, 2, 3}, want: "1 2 3", anew: "1 2 3"},
			{hide: []int{1, 2, 3}, want: "auth", anew: "auth"},
			{hide: []int{2}, want: "1 3 ~", anew: "1 3 ~"},
		},
		"to nothing from the start, and mended": {
			{set: []int{1, 2, 3}, hide: []int{1, 2, 3}, want: "auth", anew: "auth"},
			{hide: []int{2}, want: "1 3", anew: "1 3"},
			{want: "1 2 3", anew: "1 2 3"},
			{hide: []int{1}, want: "2 3 ~", anew: "2 3 ~"},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				on, anew := fakeSource(t, f, withToken(), Query{}), fakeSource(t, f, withToken(), Query{})
				w := discoverytest.Watch(t, on)
				for i, step := range steps {
					var nodes []string
					for _, e := range instancesOf(step.hide...) {
						nodes = append(nodes, e.Node.Node)
					}
					f.Hide(token, nodes...)
					if step.set != nil {
						f.Set("web", instancesOf(step.set...)...)
					}
					// Rights have no index: it shows when the query is over at the latest, or,
					// after an error, when it is asked again.
					time.Sleep(6 * time.Minute)
					restarted := fakeSource(t, f, withToken(), Query{})
					discovery.Remind(restarted, discovery.MemoryOf(anew))
					if anew = restarted; step.accept {
						discovery.Accept(on)
						_, _ = anew.Confirm(t.Context()) // it has to know what is accepted
						discovery.Accept(anew)
						time.Sleep(6 * time.Minute)
					}
					updates, _ := w.Seen()
					if got := discoverytest.Said(updates[len(updates)-1]); got != step.want {
						t.Errorf("step %d: it says %q, want %q", i+1, got, step.want)
					}
					r, err := anew.Next(t.Context())
					if got := discoverytest.Said(discovery.Update{Reading: r, Err: err}); got != step.anew {
						t.Errorf("step %d: restarted it says %q, want %q", i+1, got, step.anew)
					}
				}
			})
		})
	}
}

// TestC61AnotherTokenStartsAnew changes the token: what it may read is not what the one
// before it could.
func TestC61AnotherTokenStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "7a1bd6c2-0000-4000-8000-00000000cafe"
		f := consultest.NewFake(t)
		f.Stream(true)
		f.Hide(other, "node-web-2")
		f.Set("web", instancesOf(1, 2, 3)...)
		var now atomic.Value
		now.Store(token)
		o := Options{Token: func() string { return now.Load().(string) }}
		s := fakeSource(t, f, o, Query{})
		w := discoverytest.Watch(t, s)
		time.Sleep(time.Second)
		before := discovery.MemoryOf(s)
		now.Store(other)
		time.Sleep(2 * time.Minute) // it is used when the query is over
		got, n := said(w, 0)
		if !slices.Equal(got, []string{"1 2 3", "1 3"}) {
			t.Errorf("a token that never could read all: %q", got)
		}
		after := discovery.MemoryOf(s)
		for _, text := range [][]byte{before, after} {
			if len(text) == 0 || strings.Contains(string(text), token) || strings.Contains(string(text), other) || strings.Contains(string(text), "beef") {
				t.Errorf("memory %q", text)
			}
		}
		if string(before) == string(after) {
			t.Error("both tokens are remembered alike")
		}
		// Back, with nobody asking in between: a plain read says what it may read before it
		// is narrowed, though nothing changes meanwhile.
		now.Store(token)
		time.Sleep(2 * time.Minute)
		f.Hide(token, "node-web-3")
		f.Set("web", instancesOf(1, 2, 3, 4)...)
		time.Sleep(time.Second)
		if got, _ = said(w, n); !slices.Equal(got, []string{"1 3", "1 2 3", "1 2 4 ~"}) {
			t.Errorf("the first one, narrowed: %q", got)
		}
		// What is remembered of one does not count for another.
		restarted := fakeSource(t, f, o, Query{})
		discovery.Remind(restarted, after)
		if r, err := restarted.Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2 4" {
			t.Errorf("with the memory of another: %+v, %v", r, err)
		}
		f.Hide(token)
		tagged := fakeSource(t, f, o, Query{Tags: []string{"prod"}})
		discovery.Remind(tagged, discovery.MemoryOf(restarted))
		if r, err := tagged.Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2 3 4" {
			t.Errorf("with the memory of another question: %+v, %v", r, err)
		}
	})
}

func TestMemoryThatCannotBeUsed(t *testing.T) {
	for _, text := range []string{"", "null", "{", `{"asker":7}`, `[]`, `{"asker":"","filtered":true}`, `"x"`} {
		synctest.Test(t, func(t *testing.T) {
			f := consultest.NewFake(t)
			f.Set("web", instancesOf(1, 2)...)
			s := fakeSource(t, f, withToken(), Query{})
			discovery.Remind(s, []byte(text))
			if got := discovery.MemoryOf(s); got != nil {
				t.Errorf("%q became %q", text, got)
			}
			if r, err := s.Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2" {
				t.Errorf("after %q: %+v, %v", text, r, err)
			}
			first := discovery.MemoryOf(s)
			if _, err := s.Confirm(t.Context()); err != nil || string(discovery.MemoryOf(s)) != string(first) {
				t.Errorf("%q became %q, and nothing changed: %v", first, discovery.MemoryOf(s), err)
			}
		})
	}
}

// TestRights plays registrations, rights and what operators say in any order. While a
// token sees everything, what it then may not see any more is never taken for gone
// before somebody accepts it; what a token sees all of is whole.
func TestRights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &rights{}
		registered, hiddenNow := map[int]bool{}, map[int]bool{}
		view := map[int]bool{} // what is believed to be there
		guarded := map[int]bool{}
		filtered := true // at the last reading
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.IntRange(1, 5).Draw(t, "instance")
			switch rapid.SampledFrom([]string{"register", "deregister", "hide", "show", "accept", "read", "read"}).Draw(t, "what") {
			case "register":
				registered[n] = true
			case "deregister":
				delete(registered, n)
				delete(guarded, n)
			case "hide":
				if registered[n] && view[n] && !hiddenNow[n] && !filtered {
					guarded[n] = true
				}
				hiddenNow[n] = true
			case "show":
				delete(hiddenNow, n)
				delete(guarded, n)
			case "accept":
				if s.isNarrowed() {
					clear(guarded)
				}
				s.accept()
			default:
				var list []int
				hides := false
				for i := range registered {
					if hiddenNow[i] {
						hides = true
					} else {
						list = append(list, i)
					}
				}
				r := reply{entries: make([]entry, len(list)), filtered: hides, identity: "x"}
				var eps []discovery.Endpoint
				for _, i := range list {
					addr, _ := discovery.Parse("10.0.0."+string(rune('0'+i)), 80)
					eps = append(eps, discovery.Endpoint{Addr: addr})
				}
				reading := discovery.Complete(eps...).Normalized()
				narrowed := s.see(r, reading)
				if narrowed {
					reading = reading.Partly(hidden)
				}
				s.keep(reading)
				if filtered = hides; !hides && narrowed {
					t.Fatal("it sees all, and something is said to be missing")
				}
				if reading.Whole() {
					for i := range guarded {
						t.Fatalf("%d is there, was seen, is hidden, and was taken for gone", i)
					}
					clear(view)
				}
				for _, i := range list {
					view[i] = true
				}
			}
		}
	})
}
