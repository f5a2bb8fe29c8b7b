package consul

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

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
		{"C2 empty, without headers", seed, discoverytest.Reply(200, "[]"), discovery.Protocol},
		{"C3 a null entry", seed, consultest.Good(50, "[null]"), discovery.Protocol},
		{"C3 an empty entry", seed, consultest.Good(50, "[{}]"), discovery.Protocol},
		{"C4 a login page", seed, discoverytest.Reply(200, "<html>Log in</html>"), discovery.Protocol},
		{"C5 a redirect", seed, discoverytest.Reply(302, "", "Location", "http://elsewhere.example.org/"), discovery.Protocol},
		{"C6 cut in the middle", seed, consultest.Cut(50, list3[:90], 500), discovery.Protocol},
		{"C6 shorter than it says", seed, consultest.Cut(50, list3, 7), discovery.Protocol},
		{"C6 garbage at the end", seed, consultest.Good(50, list3+"garbage"), discovery.Protocol},
		{"C7 endless", seed, consultest.Endless(50, 40<<20), discovery.Protocol},
		{"C7 packed", seed, consultest.GzipBomb(50, 64<<20), discovery.Protocol},
		{"C8 a long page", seed, discoverytest.Reply(500, strings.Repeat("no\n\x1b[31m", 600<<10)), discovery.Server},
		{"C11 too many connections", seed, discoverytest.Reply(429, "Your IP is issuing too many concurrent connections"), discovery.Busy},
		{"unavailable", seed, discoverytest.Reply(503, "retry later"), discovery.Busy},
		{"no leader", seed, discoverytest.Reply(500, "No cluster leader"), discovery.Server},
		{"C15 a wrong token", seed, discoverytest.Reply(403, "ACL not found"), discovery.Auth},
		{"C17 no node:read", blocking, consultest.Good(50, "[]", "X-Consul-Results-Filtered-By-ACLs", "true"), discovery.Auth},
		{"C17 no node:read at first", seed, consultest.Good(50, "[]", "X-Consul-Results-Filtered-By-ACLs", "true"), discovery.Auth},
		{"C18 no token", seed, consultest.Good(50, "[]", "X-Consul-Default-ACL-Policy", "deny"), discovery.Auth},
		{"C19 a faulty filter", seed, discoverytest.Reply(500, "Failed to create boolean expression evaluator: 1:2"), discovery.Config},
		{"a faulty question", seed, discoverytest.Reply(400, "Invalid index"), discovery.Config},
		{"an unknown path", seed, discoverytest.Reply(404, "404 page not found"), discovery.Config},
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
				w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
				time.Sleep(6 * time.Minute)
				f.Script(test.reply)
				f.Touch("web")
				time.Sleep(12 * time.Minute)
				updates := w.End()
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
		for name, h := range map[string]http.HandlerFunc{"after the headers": consultest.HalfOpen(50), "at once": consultest.Hang} {
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.Script(h)
			begun := time.Now()
			_, err := s.Next(t.Context())
			took := time.Since(begun)
			if discovery.ClassOf(err) != discovery.Transport || took < 60*time.Second || took > 92*time.Second {
				t.Errorf("silence %s: %v after %s", name, err, took)
			}
		}
		if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 3 {
			t.Errorf("afterwards: %+v %v", r, err)
		}
	})
}

func TestC10Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.Refuse(true)
		time.Sleep(time.Hour)
		updates, _ := w.Seen()
		if n := len(updates); n < 120 || n > 350 {
			t.Errorf("%d updates within an hour of refusal, want one each 15 s", n)
		}
		f.Refuse(false)
		time.Sleep(33 * time.Second)
		updates = w.End()
		counts, classes := sets(updates)
		if last := updates[len(updates)-1]; last.Err != nil || !slices.Equal(counts, []int{3}) || !slices.Equal(classes, []discovery.Class{discovery.Transport}) {
			t.Errorf("sets of %v, errors %v, last %v", counts, classes, last.Err)
		}
	})
}

func TestC11Busy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Always(discoverytest.Reply(429, "Your IP is issuing too many concurrent connections"))
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.End()
		_, classes := sets(updates)
		if n := len(updates); !slices.Equal(classes, []discovery.Class{discovery.Busy}) || n > 60 {
			t.Errorf("%d updates of %v", n, classes)
		}
	})
}
