package consul

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

const list3 = `[{"Node":{},"Service":{"ID":"a","Address":"10.9.0.1","Port":1}},{"Node":{},"Service":{"ID":"b","Address":"10.9.0.2","Port":1}},` +
	`{"Node":{},"Service":{"ID":"c","Address":"10.9.0.3","Port":1}}]`

// TestBadRepliesChangeNothing sends bad replies in the midst of a watch: the set
// stays, the error has its class, and the watch goes on.
func TestBadRepliesChangeNothing(t *testing.T) {
	const blocking, seed = false, true
	tests := []struct {
		name  string
		seed  bool // also the very first question is answered so
		reply http.HandlerFunc
		class discovery.Class
	}{
		{"C1 null", seed, consultest.Good(50, "null"), discovery.Protocol},
		{"C2 empty, without headers", seed, consultest.Reply(200, "[]"), discovery.Protocol},
		{"C3 a null entry", seed, consultest.Good(50, "[null]"), discovery.Protocol},
		{"C3 an empty entry", seed, consultest.Good(50, "[{}]"), discovery.Protocol},
		{"C4 a login page", seed, consultest.Reply(200, "<html>Log in</html>"), discovery.Protocol},
		{"C5 a redirect", seed, consultest.Reply(302, "", "Location", "http://elsewhere.example.org/"), discovery.Protocol},
		{"C6 cut in the middle", seed, consultest.Cut(50, list3[:90], 500), discovery.Protocol},
		{"C6 shorter than it says", seed, consultest.Cut(50, list3, 7), discovery.Protocol},
		{"C6 garbage at the end", seed, consultest.Good(50, list3+"garbage"), discovery.Protocol},
		{"C7 endless", seed, consultest.Endless(50, 40<<20), discovery.Protocol},
		{"C7 packed", seed, consultest.GzipBomb(50, 64<<20), discovery.Protocol},
		{"C8 a long page", seed, consultest.Reply(500, strings.Repeat("no\n\x1b[31m", 600<<10)), discovery.Server},
		{"C11 too many connections", seed, consultest.Reply(429, "Your IP is issuing too many concurrent connections"), discovery.Busy},
		{"unavailable", seed, consultest.Reply(503, "retry later"), discovery.Busy},
		{"no leader", seed, consultest.Reply(500, "No cluster leader"), discovery.Server},
		{"C15 a wrong token", seed, consultest.Reply(403, "ACL not found"), discovery.Auth},
		{"C17 no node:read", blocking, consultest.Good(50, "[]", "X-Consul-Results-Filtered-By-ACLs", "true"), discovery.Auth},
		{"C17 no node:read at first", seed, consultest.Good(50, "[]", "X-Consul-Results-Filtered-By-ACLs", "true"), discovery.Auth},
		{"C18 no token", seed, consultest.Good(50, "[]", "X-Consul-Default-ACL-Policy", "deny"), discovery.Auth},
		{"C19 a faulty filter", seed, consultest.Reply(500, "Failed to create boolean expression evaluator: 1:2"), discovery.Config},
		{"a faulty question", seed, consultest.Reply(400, "Invalid index"), discovery.Config},
		{"an unknown path", seed, consultest.Reply(404, "404 page not found"), discovery.Config},
		{"C27 an index that is a word", seed, consultest.Good(50, "[]", "X-Consul-Index", "abc"), discovery.Protocol},
		{"C27 a negative index", seed, consultest.Good(50, "[]", "X-Consul-Index", "-1"), discovery.Protocol},
		{"index 0", seed, consultest.Good(0, "[]"), discovery.Protocol},
		{"C52 20000 instances", seed, consultest.Good(50, "["+strings.Repeat(`{"Node":{},"Service":{}},`, 19_999)+`{"Node":{},"Service":{}}]`), discovery.Protocol},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Set("web", consultest.Instances(3)...)
				if test.seed {
					f.Script(test.reply)
				}
				w := start(t, fakeSource(t, f, Options{}, Query{}))
				time.Sleep(6 * time.Minute)
				f.Script(test.reply)
				f.Touch("web")
				time.Sleep(12 * time.Minute)
				updates := w.end()
				counts, classes := sets(updates)
				if !slices.Equal(counts, []int{3}) || !slices.Equal(classes, []discovery.Class{test.class}) {
					t.Fatalf("sets of %v, errors %v", counts, classes)
				}
				if last := updates[len(updates)-1]; last.Err != nil {
					t.Errorf("it does not recover: %v", last.Err)
				}
				checkMessage(t, firstError(updates))
				for _, r := range f.Requests() {
					if r.Host != "127.0.0.1:8500" {
						t.Errorf("it asked %s", r.Host)
					}
				}
			})
		})
	}
}

// checkMessage wants one short line.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); len(s) > 230 || strings.ContainsFunc(s, unicode.IsControl) {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}

func TestC9HalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, h := range map[string]http.HandlerFunc{"after the headers": consultest.HalfOpen(50), "at once": consultest.Hang} {
			s.state.failed = false
			f.Script(h)
			begun := time.Now()
			_, err := s.Next(t.Context())
			took := time.Since(begun)
			if discovery.ClassOf(err) != discovery.Transport || took < 60*time.Second || took > 92*time.Second {
				t.Errorf("silence %s: %v after %s", name, err, took)
			}
		}
		if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints) != 3 {
			t.Errorf("afterwards: %+v %v", r, err)
		}
	})
}

func TestC10Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.Refuse(true)
		time.Sleep(time.Hour)
		updates, _ := w.seen()
		if n := len(updates); n < 120 || n > 350 {
			t.Errorf("%d updates within an hour of refusal, want one each 15 s", n)
		}
		f.Refuse(false)
		time.Sleep(33 * time.Second)
		updates = w.end()
		counts, classes := sets(updates)
		if last := updates[len(updates)-1]; last.Err != nil || !slices.Equal(counts, []int{3}) || !slices.Equal(classes, []discovery.Class{discovery.Transport}) {
			t.Errorf("sets of %v, errors %v, last %v", counts, classes, last.Err)
		}
	})
}

func TestC11Busy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Always(consultest.Reply(429, "Your IP is issuing too many concurrent connections"))
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.end()
		_, classes := sets(updates)
		if n := len(updates); !slices.Equal(classes, []discovery.Class{discovery.Busy}) || n > 60 {
			t.Errorf("%d updates of %v", n, classes)
		}
	})
}

func TestC15TokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		token, valid, denied := "old", "old", 0
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Consul-Token") != valid || r.URL.Query().Has("token") {
				consultest.Reply(403, "ACL not found")(w, r)
				return
			}
			consultest.Good(50, list3)(w, r)
		})
		s := fakeSource(t, f, Options{Token: func() string { return token }, Denied: func() { denied++; token = "new" }}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		valid = "new"
		if r, err := s.Next(t.Context()); err != nil || denied != 1 || len(r.Endpoints) != 3 {
			t.Errorf("the new token: %+v %v, denied %d times", r, err, denied)
		}
		valid = "newer"
		before := len(f.Requests())
		_, err := s.Next(t.Context())
		if n := len(f.Requests()) - before; discovery.ClassOf(err) != discovery.Auth || n != 1 || denied != 2 {
			t.Errorf("the same token: %v after %d requests, denied %d times", err, n, denied)
		}
		if strings.Contains(err.Error(), "new") {
			t.Errorf("%v tells the token", err)
		}
	})
}

func TestSeedThenBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		q := Query{Tags: []string{"z", "a"}, Filter: `Service.Meta.v == "2"`}
		s := fakeSource(t, f, Options{Datacenter: "dc2", Address: "consul.example.org:80/prefix"}, q)
		f.Always(consultest.Good(50, list3))
		for range 2 {
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Confirm(t.Context()); err != nil {
			t.Fatal(err)
		}
		const common = "dc=dc2&filter=Service.Meta.v+%3D%3D+%222%22"
		seed, block, confirm := f.Requests()[0], f.Requests()[1], f.Requests()[2]
		if seed.URL.Path != "/prefix/v1/health/service/web" || seed.URL.RawQuery != common+"&tag=a&tag=z" {
			t.Errorf("first: %s", seed.URL)
		}
		got := block.URL.Query()
		wait, err := time.ParseDuration(got.Get("wait"))
		if err != nil || wait < 48*time.Second || wait > 72*time.Second || got.Get("index") != "50" || !got.Has("stale") || len(got["tag"]) != 2 {
			t.Errorf("then: %s", block.URL)
		}
		if confirm.URL.RawQuery != "consistent=&"+common+"&tag=a&tag=z" {
			t.Errorf("to confirm: %s", confirm.URL)
		}
	})
}

func TestConsistency(t *testing.T) {
	for mode, want := range map[string]string{"": Stale, Stale: Stale, Default: "", Cached: Cached} {
		synctest.Test(t, func(t *testing.T) {
			f := consultest.NewFake(t)
			f.Always(consultest.Good(50, list3))
			s := fakeSource(t, f, Options{Consistency: mode}, Query{})
			for range 2 {
				if _, err := s.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			first, then := f.Requests()[0].URL.Query(), f.Requests()[1].URL.Query()
			for _, m := range []string{Stale, Cached, consistent} {
				if first.Has(m) || then.Has(m) != (m == want) {
					t.Errorf("%q: first %v, then %v", mode, first, then)
				}
			}
		})
	}
}

func TestUnchangedProvesTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		w := start(t, fakeSource(t, f, Options{Wait: 10 * time.Second}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.end()
		counts, classes := sets(updates)
		if n := len(updates); n < 40 || n > 80 || !slices.Equal(counts, []int{3}) || classes != nil {
			t.Errorf("%d updates, sets of %v, errors %v", n, counts, classes)
		}
	})
}

func TestC20AgentWithoutServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.Refuse(true)
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				consultest.Good(1, "[]", "X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming")(w, r)
				return
			}
			consultest.Reply(500, "No known Consul servers")(w, r)
		})
		f.Refuse(false)
		time.Sleep(10 * time.Minute)
		f.Always(nil)
		time.Sleep(time.Minute)
		updates := w.end()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3}) || classes[len(classes)-1] != discovery.Server || updates[len(updates)-1].Err != nil {
			t.Errorf("sets of %v, errors %v, last %v", counts, classes, updates[len(updates)-1].Err)
		}
	})
}

// TestIndexes plays replies after a first one with three instances at index 50,
// and names what Next returns of them.
func TestIndexes(t *testing.T) {
	type outcome struct {
		count int
		weak  bool
		class discovery.Class
		asked int // requests beyond the first
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
		{"C23 lower and rebuilt", []http.HandlerFunc{consultest.Good(5, list3), consultest.Good(5, one)}, outcome{count: 1, asked: 2}},
		{"C26 from the highest to a low one", []http.HandlerFunc{consultest.Good(1<<64-1, list3)}, outcome{count: 3, asked: 1}},
		{"C29 streaming", []http.HandlerFunc{consultest.Good(51, list3, "X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming")}, outcome{count: 3, asked: 1}},
		{"C30 no leader", []http.HandlerFunc{consultest.Good(51, one, noLeader...)}, outcome{count: 1, weak: true, asked: 1}},
		{"too old, and the leader knows better", []http.HandlerFunc{consultest.Good(51, one, "X-Consul-LastContact", "60000"), consultest.Good(60, list3)}, outcome{count: 3, asked: 2}},
		{"C31 empty, and a consistent read is not", []http.HandlerFunc{consultest.Good(51, "[]"), consultest.Good(51, list3)}, outcome{count: 3, asked: 2}},
		{"empty, and a consistent read is too", []http.HandlerFunc{consultest.Good(51, "[]"), consultest.Good(51, "[]")}, outcome{count: 0, asked: 2}},
		{"empty, and nobody confirms", []http.HandlerFunc{consultest.Good(51, "[]"), consultest.Reply(500, "No cluster leader")}, outcome{class: discovery.Server, asked: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Script(append([]http.HandlerFunc{consultest.Good(50, list3)}, test.replies...)...)
				s := fakeSource(t, f, Options{}, Query{})
				if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints) != 3 {
					t.Fatalf("first: %+v %v", r, err)
				}
				r, err := s.Next(t.Context())
				got := outcome{count: len(r.Endpoints), weak: r.Weak, asked: len(f.Requests()) - 1}
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

// TestC26AfterTheHighest also shows that a set is believed again after it.
func TestC26AfterTheHighest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Script(consultest.Good(1<<64-1, list3), consultest.Good(5, "[]"), consultest.Good(5, list3))
		s := fakeSource(t, f, Options{}, Query{})
		for range 2 {
			if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints) != 3 {
				t.Fatalf("%+v %v", r, err)
			}
		}
		if s.state.index != 5 {
			t.Errorf("it waits beyond %d", s.state.index)
		}
	})
}

// TestC30NextIsPlain follows an answer without a leader by a plain read.
func TestC30NextIsPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Script(consultest.Good(50, list3), consultest.Good(51, "[]", "X-Consul-KnownLeader", "false"), consultest.Reply(500, "No cluster leader"))
		f.Set("web", consultest.Instances(3)...)
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Second)
		w.end()
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
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.SetQuietly("web", consultest.Instances(5)...)
		time.Sleep(14 * time.Minute)
		if counts, _ := sets(w.end()); !slices.Equal(counts, []int{3, 5}) {
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
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			f.Touch("web")
		}
		if counts, _ := sets(w.end()); len(f.Requests()) > 70 || !slices.Equal(counts, []int{3}) {
			t.Errorf("%d requests, sets of %v", len(f.Requests()), counts)
		}
	})
}

func TestC28InstantReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Always(consultest.Good(50, list3))
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		if counts, _ := sets(w.end()); len(f.Requests()) > 70 || !slices.Equal(counts, []int{3}) {
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
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.end()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3}) || !slices.Equal(classes, []discovery.Class{discovery.Server}) || len(f.Requests()) > 3*600 {
			t.Errorf("sets of %v, errors %v, %d requests", counts, classes, len(f.Requests()))
		}
	})
}

func TestProbeAfterError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		f.Script(consultest.Good(50, list3), consultest.Reply(500, "rpc error getting client"), consultest.Good(50, list3), consultest.Good(50, list3))
		var waits []time.Duration
		for range 4 {
			_, _ = s.Next(t.Context()) // the second one is an error
		}
		for _, r := range f.Requests()[1:] {
			wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
			if err != nil || r.URL.Query().Get("index") != "50" {
				t.Errorf("asked %s: %v", r.URL, err)
			}
			waits = append(waits, wait)
		}
		if waits[0] < 48*time.Second || waits[1] != 2*time.Second || waits[2] < 48*time.Second {
			t.Errorf("waits %v", waits)
		}
	})
}

func TestConfirmWhileNextBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		start(t, s)
		time.Sleep(time.Second)
		f.SetQuietly("web", consultest.Instances(1)...)
		if r, err := s.Confirm(t.Context()); err != nil || len(r.Endpoints) != 1 || r.Weak {
			t.Errorf("confirmed %+v %v", r, err)
		}
		f.Header("X-Consul-Results-Filtered-By-ACLs", "true")
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Auth {
			t.Errorf("fewer for lack of rights: %v", err)
		}
		f.Always(consultest.Hang)
		begun := time.Now()
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Transport || time.Since(begun) != plainTimeout {
			t.Errorf("silence: %v after %s", err, time.Since(begun))
		}
	})
}

func TestNextEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := s.Next(ctx); err != context.DeadlineExceeded || time.Since(begun) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestC50MaintenanceOfSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(4)...)
		w := start(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Second)
		all := consultest.Instances(4)
		for i, id := range []string{"_service_maintenance:web-1", api.NodeMaint, api.NodeMaint} {
			all[i].Checks = append(all[i].Checks, &api.HealthCheck{CheckID: id, Status: api.HealthCritical})
		}
		f.Set("web", all...)
		time.Sleep(time.Second)
		updates := w.end()
		last := updates[len(updates)-1].Reading
		want := []string{"10.0.0.1:8080 (drain)", "10.0.0.2:8080 (drain)", "10.0.0.3:8080 (drain)", "10.0.0.4:8080"}
		if got := describe(last); !slices.Equal(got, want) || last.Weak {
			t.Errorf("got %v", got)
		}
	})
}
