package consul

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// TestIndexes plays replies after a first one with three instances at index 50,
// and names what Next returns of them.
func TestIndexes(t *testing.T) {
	type outcome struct {
		count   int
		partial bool
		class   discovery.Class
		asked   int // requests beyond the first
	}
	one := list3[:strings.Index(list3, `,{"Node"`)] + "]"
	noLeader := []string{"X-Consul-KnownLeader", "false", "X-Consul-LastContact", "3600000"}
	tests := []struct {
		name    string
		replies []http.HandlerFunc
		want    outcome
	}{
		{"C21 as asked, without a body", []http.HandlerFunc{consultest.Good(50, "[]")}, outcome{count: 3, asked: 1}},
		{"C22 lower, with few", []http.HandlerFunc{consultest.Good(49, one), consultest.Good(60, list3)}, outcome{count: 3, asked: 2}},
		{"C23 lower and rebuilt", []http.HandlerFunc{consultest.Good(5, list3), consultest.Good(5, one), consultest.Good(5, one)}, outcome{count: 1, asked: 3}},
		{"a leader that has not caught up", []http.HandlerFunc{consultest.Good(5, list3), consultest.Good(5, one), consultest.Good(60, list3)}, outcome{count: 3, asked: 3}},
		{"C26 from the highest to a low one", []http.HandlerFunc{consultest.Good(1<<64-1, list3)}, outcome{count: 3, asked: 1}},
		{"C29 streaming", []http.HandlerFunc{consultest.Good(51, list3, "X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming")}, outcome{count: 3, asked: 1}},
		{"C30 no leader", []http.HandlerFunc{consultest.Good(51, one, noLeader...)}, outcome{count: 1, partial: true, asked: 1}},
		{"too old, and the leader knows better", []http.HandlerFunc{consultest.Good(51, one, "X-Consul-LastContact", "60000"), consultest.Good(60, list3)}, outcome{count: 3, asked: 2}},
		{"C31 empty, and a consistent read is not", []http.HandlerFunc{consultest.Good(51, "[]"), consultest.Good(51, list3)}, outcome{count: 3, asked: 2}},
		{"empty, and a consistent read is too", []http.HandlerFunc{consultest.Good(51, "[]"), consultest.Good(51, "[]")}, outcome{count: 0, asked: 2}},
		{"empty, and nobody confirms", []http.HandlerFunc{consultest.Good(51, "[]"), discoverytest.Reply(500, "No cluster leader")}, outcome{class: discovery.Server, asked: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Script(append([]http.HandlerFunc{consultest.Good(50, list3)}, test.replies...)...)
				s := fakeSource(t, f, Options{}, Query{})
				if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 3 {
					t.Fatalf("first: %+v %v", r, err)
				}
				r, err := s.Next(t.Context())
				got := outcome{count: len(r.Endpoints()), partial: !r.Whole(), asked: len(f.Requests()) - 1}
				if err != nil {
					got.class = discovery.ClassOf(err)
				}
				if got != test.want {
					t.Errorf("got %+v (%v), want %+v", got, err, test.want)
				}
			})
		})
	}
}

// TestC23NewIndexes goes on from the index of a cluster that was rebuilt.
func TestC23NewIndexes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		f.SetIndex(1_000_000)
		s := fakeSource(t, f, Options{}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.SetQuietly("web", consultest.Instances(10)...)
		f.SetIndex(7)
		if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 10 || s.Index() != 7 {
			t.Fatalf("%+v %v, waits beyond %d", r, err, s.Index())
		}
		f.Set("web", consultest.Instances(11)...)
		r, err := s.Next(t.Context())
		requests := f.Requests()
		if asked := requests[len(requests)-1].URL.Query().Get("index"); err != nil || len(r.Endpoints()) != 11 || asked != "7" {
			t.Errorf("%+v %v, waited beyond %s", r, err, asked)
		}
	})
}

// TestC31FalseAnswersAreCounted keeps what a consistent read shows, time and again.
func TestC31FalseAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(5)...)
		f.SetIndex(50)
		s := fakeSource(t, f, Options{}, Query{})
		if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 5 || len(s.Activity().Remarks) != 0 {
			t.Fatalf("%+v %v, %v", r, err, s.Activity().Remarks)
		}
		for i := range 2 {
			f.Script(consultest.Good(uint64(60+i), "[]"))
			f.SetIndex(uint64(60 + i))
			if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 5 || !r.Whole() {
				t.Fatalf("%+v %v", r, err)
			}
		}
		if remarks := s.Activity().Remarks; !slices.Equal(remarks, []string{"2 times an answer lacked instances that the leader had"}) {
			t.Errorf("remarks %q", remarks)
		}
	})
}

// TestC26AfterTheHighest also shows that a set is believed again after it.
func TestC26AfterTheHighest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Script(consultest.Good(1<<64-1, list3), consultest.Good(5, "[]"), consultest.Good(5, list3), consultest.Good(5, list3))
		s := fakeSource(t, f, Options{}, Query{})
		for range 2 {
			if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 3 {
				t.Fatalf("%+v %v", r, err)
			}
		}
		if s.Index() != 5 {
			t.Errorf("it waits beyond %d", s.Index())
		}
	})
}

// TestC30NextIsPlain follows an answer without a leader by a plain read.
func TestC30NextIsPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Script(consultest.Good(50, list3), consultest.Good(51, "[]", "X-Consul-KnownLeader", "false"), discoverytest.Reply(500, "No cluster leader"))
		f.Set("web", consultest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Second)
		w.End()
		if q := f.Requests()[2].URL.RawQuery; q != "" {
			t.Errorf("it asked %q", q)
		}
	})
}

func TestTooOldLeavesOutStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		f.Header("X-Consul-LastContact", "60000")
		s := fakeSource(t, f, Options{}, Query{})
		for range 20 {
			f.Touch("web")
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		stale := 0
		for _, r := range f.Requests() {
			if r.URL.Query().Has("stale") {
				stale++
			}
		}
		if stale < 2 || stale > 3 {
			t.Errorf("Stale was tried %d times within 20 s", stale)
		}
	})
}

func TestC24SafetyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.SetQuietly("web", consultest.Instances(5)...)
		time.Sleep(14 * time.Minute)
		if counts, _ := sets(w.End()); !slices.Equal(counts, []int{3, 5}) {
			t.Errorf("sets of %v", counts)
		}
	})
}

func TestC25IndexRunsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			f.Touch("web")
		}
		if counts, _ := sets(w.End()); len(f.Requests()) > 70 || !slices.Equal(counts, []int{3}) {
			t.Errorf("%d requests, sets of %v", len(f.Requests()), counts)
		}
	})
}

func TestC28InstantReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Always(consultest.Good(50, list3))
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		if counts, _ := sets(w.End()); len(f.Requests()) > 70 || !slices.Equal(counts, []int{3}) {
			t.Errorf("%d requests, sets of %v", len(f.Requests()), counts)
		}
	})
}

func TestIndexInCircles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				consultest.Good(10, "[]")(w, r)
				return
			}
			consultest.Good(50, list3)(w, r)
		})
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.End()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3}) || !slices.Equal(classes, []discovery.Class{discovery.Server}) || len(f.Requests()) > 3*600 {
			t.Errorf("sets of %v, errors %v, %d requests", counts, classes, len(f.Requests()))
		}
	})
}
