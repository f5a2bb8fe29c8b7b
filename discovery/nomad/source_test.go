package nomad

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/discovery/nomad/nomadtest"
)

const list3 = `[{"ServiceName":"web","ID":"a","Address":"10.0.0.1","Port":1},{"ServiceName":"web","ID":"b","Address":"10.0.0.2","Port":1},` +
	`{"ServiceName":"web","ID":"c","Address":"10.0.0.3","Port":1}]`

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"scheme": {Address: "ftp://x:1"}, "password": {Address: "http://u:p@x:1"}, "query": {Address: "http://x:1?a"}, "relative socket": {Address: "unix://x"},
		"no host": {Address: "http://"}, "wait": {Wait: time.Millisecond}, "long wait": {Wait: time.Hour}, "poll": {PollInterval: time.Millisecond},
		"all namespaces": {Namespace: "*"}, "namespace": {Namespace: "a b"}, "region": {Region: "a&b=c"}, "CA": {TLS: longpoll.TLS{CAFile: "/nowhere"}},
	} {
		if _, err := NewClient(o); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	c, err := NewClient(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{
		{}, {Service: "a/b"}, {Service: "../kv"}, {Service: ".."}, {Service: "a?b"}, {Service: "a%2fb"}, {Service: "a b"}, {Service: "a\nb"},
		{Service: strings.Repeat("a", 200)}, {Service: "web", Tags: []string{""}},
	} {
		if _, err := c.Source(q); err == nil {
			t.Errorf("%+v was taken", q)
		}
	}
}

func TestSeedThenBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Always(nomadtest.Good(50, list3))
		c := fakeClient(t, f, Options{Address: "nomad.example.org:80/prefix", Namespace: "prod", Region: "eu"})
		s := source(t, c, Query{Filter: `JobID == "web"`})
		for range 2 {
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Confirm(t.Context()); err != nil {
			t.Fatal(err)
		}
		const common = "filter=JobID+%3D%3D+%22web%22&namespace=prod&region=eu"
		seed, block, confirm := f.Requests()[0], f.Requests()[1], f.Requests()[2]
		if seed.URL.Path != "/prefix/v1/service/web" || seed.URL.RawQuery != common || confirm.URL.RawQuery != common {
			t.Errorf("first %s, to confirm %s", seed.URL, confirm.URL)
		}
		got := block.URL.Query()
		wait, err := time.ParseDuration(got.Get("wait"))
		if err != nil || wait < 48*time.Second || wait > 72*time.Second || got.Get("index") != "50" || got.Has("stale") || got.Get("namespace") != "prod" {
			t.Errorf("then: %s", block.URL)
		}
		a := s.Activity()
		if !strings.Contains(a.Question, "/v1/service/web?") || a.Answer != "200, 3 instances, index 50" || !strings.Contains(a.Remarks[0], "healthy") {
			t.Errorf("%+v", a)
		}
		if s.String() != "nomad service web in prod" {
			t.Error(s)
		}
	})
}

func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(2)...)
		f.SetIn("other", "web", nomadtest.Instances(5)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}))
		w.Is(t, "1 2")
		for n, want := range map[int]string{3: "1 2 3"} {
			begin := time.Now()
			f.Set("web", nomadtest.Instances(n)...)
			w.Is(t, want)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%q took %s", want, took)
			}
		}
		// Each change of any service moves the index: asked again, nothing told.
		before := len(f.Requests())
		for range 200 {
			f.Set("api", nomadtest.Instance(9))
			time.Sleep(50 * time.Millisecond)
		}
		if n := len(f.Requests()) - before; n > 20 {
			t.Errorf("%d requests within 10s", n)
		}
		f.Set("web")
		w.Is(t, "")
		if got := discoverytest.History(w.End()); len(got) != 3 {
			t.Errorf("%q", got)
		}
	})
}

func TestUnchangedProvesTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{Wait: 10 * time.Second}))
		time.Sleep(10 * time.Minute)
		updates := w.End()
		if n := len(updates); n < 40 || n > 80 || len(discoverytest.History(updates)) != 1 {
			t.Errorf("%d updates: %q", n, discoverytest.History(updates))
		}
	})
}

// What is wrong with an answer is an error of a class; the set stays as it was.
func TestWrongAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		class  discovery.Class
	}{
		{"null", nomadtest.Good(50, "null"), discovery.Protocol},
		{"a list of null", nomadtest.Good(50, "[null]"), discovery.Protocol},
		{"an object", nomadtest.Good(50, "{}"), discovery.Protocol},
		{"nothing", nomadtest.Good(50, ""), discovery.Protocol},
		{"half a list", nomadtest.Good(50, list3[:60]), discovery.Protocol},
		{"a cut body", nomadtest.Good(50, "[]", "Content-Length", "100"), discovery.Protocol},
		{"a login page", discoverytest.Reply(200, "<html>Sign in</html>"), discovery.Protocol},
		{"an empty list without headers", discoverytest.Reply(200, "[]"), discovery.Protocol},
		{"an empty list with index 0", nomadtest.Good(0, "[]"), discovery.Protocol},
		{"an index that is none", nomadtest.Good(50, "[]", "X-Nomad-Index", "abc"), discovery.Protocol},
		{"one page", nomadtest.Good(50, list3, "X-Nomad-NextToken", "x"), discovery.Protocol},
		{"no leader is known", nomadtest.Good(50, "[]", "X-Nomad-KnownLeader", "false"), discovery.Server},
		{"elsewhere", discoverytest.Reply(307, "", "Location", "http://elsewhere.example.org/"), discovery.Protocol},
		{"400", discoverytest.Reply(400, "failed to read result page: error evaluating filter"), discovery.Config},
		{"401", discoverytest.Reply(401, "Unauthorized"), discovery.Auth},
		{"403", discoverytest.Reply(403, "Permission denied"), discovery.Auth},
		{"404", discoverytest.Reply(404, ""), discovery.Config},
		{"429", discoverytest.Reply(429, "Your IP is issuing too many concurrent connections, please rate limit your calls"), discovery.Busy},
		{"500", discoverytest.Reply(500, "No cluster leader"), discovery.Server},
		{"503", discoverytest.Reply(503, ""), discovery.Busy},
		{"a long page of control characters", discoverytest.Reply(500, strings.Repeat("\x1b[2J\n", 1<<16)), discovery.Server},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := nomadtest.NewFake(t)
				f.Set("web", nomadtest.Instances(3)...)
				s := fakeSource(t, f, Options{Token: func() string { return "secret" }})
				w := discoverytest.Watch(t, s)
				w.Is(t, "1 2 3")
				f.Always(test.answer)
				f.SetIndex(0) // which ends the query that is under way
				time.Sleep(3 * time.Minute)
				u := w.Is(t, string(test.class))
				if text := u.Err.Error(); len(text) > 400 || strings.ContainsAny(text, "\n\x1b") || strings.Contains(text, "secret") {
					t.Errorf("error %q", text)
				}
				if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != test.class {
					t.Errorf("confirmed: %v", err)
				}
				f.Always(nil)
				f.SetIndex(60)
				time.Sleep(10 * time.Minute)
				w.Is(t, "1 2 3")
				for _, h := range discoverytest.History(w.End()) {
					if h != "1 2 3" && h != "1 2 3 ~" && h != "~" && h != string(test.class) {
						t.Errorf("it said %q", h)
					}
				}
				for _, r := range f.Requests() {
					if r.Host != "127.0.0.1:4646" || r.URL.Query().Has("token") || r.Header.Get("X-Nomad-Token") != "secret" {
						t.Errorf("asked %s %s", r.Host, r.URL)
					}
				}
			})
		})
	}
}

func TestTooManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Script(nomadtest.Good(50, strings.Repeat(" ", longpoll.MaxBody)+"[]"))
		if _, err := fakeSource(t, f, Options{}).Next(t.Context()); discovery.ClassOf(err) != discovery.Protocol || !strings.Contains(err.Error(), "larger") {
			t.Errorf("%v", err)
		}
	})
}

func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(1)...)
		s := fakeSource(t, f, Options{Wait: 10 * time.Second})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			nomadtest.Good(90, "[")(w, r)
			_ = http.NewResponseController(w).Flush() // the client may have gone
			<-r.Context().Done()
		})
		begin := time.Now()
		_, err := s.Next(t.Context())
		if took := time.Since(begin); discovery.ClassOf(err) != discovery.Transport || took < 20*time.Second || took > 30*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(1)...)
		f.Token("new")
		token, denied := "old", 0
		s := fakeSource(t, f, Options{Token: func() string { return token }, Denied: func() { denied++; token = "new" }})
		if r, err := s.Next(t.Context()); err != nil || denied != 1 || discoverytest.Describe(r) != "1" {
			t.Errorf("the new token: %q %v, denied %d times", discoverytest.Describe(r), err, denied)
		}
		f.Token("newer")
		_, err := s.Confirm(t.Context())
		if discovery.ClassOf(err) != discovery.Auth || denied != 2 || len(f.Requests()) != 3 || strings.Contains(err.Error(), "new") {
			t.Errorf("the same token: %v after %d requests, denied %d times", err, len(f.Requests()), denied)
		}
	})
}

func TestRestartWithALowerIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.SetIndex(1000)
		f.Set("web", nomadtest.Instances(4)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{Wait: 10 * time.Second}))
		w.Is(t, "1 2 3 4")
		f.SetIndex(20)
		f.Set("web", nomadtest.Instances(3)...)
		w.Is(t, "1 2 3")
		begin := time.Now()
		f.Set("web", nomadtest.Instances(5)...)
		w.Is(t, "1 2 3 4 5")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("after the restart it took %s", took)
		}
	})
}

// A cluster that has lost everything has index 1, as a new one.
func TestIndexOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.SetIndex(1)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{Wait: 10 * time.Second}))
		w.Is(t, "~")
		time.Sleep(time.Minute)
		f.Set("web", nomadtest.Instances(2)...)
		w.Is(t, "1 2")
		f.Set("web")
		f.SetIndex(1)
		time.Sleep(time.Hour)
		w.Is(t, "~")
		if got := strings.Join(discoverytest.History(w.End()), ", "); got != "~, 1 2, ~" {
			t.Error(got)
		}
	})
}

func TestIndexThatGoesBackForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				nomadtest.Good(5, "[]")(w, r)
				return
			}
			nomadtest.Good(50, list3)(w, r)
		})
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}))
		time.Sleep(10 * time.Minute)
		for _, h := range discoverytest.History(w.End()) {
			if h != "1 2 3" && h != "server" {
				t.Errorf("it said %q", h)
			}
		}
		if n := len(f.Requests()); n > 4*600 {
			t.Errorf("%d requests within 10 minutes", n)
		}
	})
}

// An empty answer to a blocking query is one that a plain read has to agree with.
func TestFalseEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(3)...)
		s := fakeSource(t, f, Options{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Script(nomadtest.Good(90, "[]"), nomadtest.Good(91, list3))
		if r, err := s.Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2 3" {
			t.Errorf("%q %v", discoverytest.Describe(r), err)
		}
		f.Script(nomadtest.Good(92, "[]"), discoverytest.Reply(500, "No cluster leader"))
		if _, err := s.Next(t.Context()); discovery.ClassOf(err) != discovery.Server {
			t.Errorf("%v", err)
		}
	})
}

func TestNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(3)...)
		s := fakeSource(t, f, Options{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Script(nomadtest.Good(95, `[{"ServiceName":"web","ID":"d","Address":"10.0.0.4","Port":1}]`, "X-Nomad-KnownLeader", "false"))
		if r, err := s.Next(t.Context()); err != nil || discoverytest.Describe(r) != "4 ~" {
			t.Errorf("without a leader: %q %v", discoverytest.Describe(r), err)
		}
		if r, err := s.Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2 3" || f.Requests()[2].URL.Query().Has("index") {
			t.Errorf("plainly: %q %v", discoverytest.Describe(r), err)
		}
	})
}

// A server that does not wake those who wait is asked plainly from time to time.
func TestSafetyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(3)...)
		index := uint64(11)
		quiet := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				select {
				case <-time.After(50 * time.Second):
				case <-r.Context().Done():
				}
			}
			nomadtest.Good(index, strings.Replace(list3, "10.0.0.3", "10.0.0.9", 1))(w, r)
		}
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}))
		w.Is(t, "1 2 3")
		f.Always(quiet)
		time.Sleep(13 * time.Minute)
		w.Is(t, "1 2 9")
	})
}

func TestEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(1)...)
		c := fakeClient(t, f, Options{})
		for range queries + 20 { // blocking and polling
			w := discoverytest.Watch(t, source(t, c, Query{}))
			w.Is(t, "1")
			defer func() {
				begin := time.Now()
				w.End()
				if took := time.Since(begin); took != 0 {
					t.Errorf("it took %s", took)
				}
			}()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := source(t, c, Query{})
		if _, err := s.Next(ctx); err != context.Canceled {
			t.Errorf("Next: %v", err)
		}
		if _, err := s.Confirm(ctx); err != context.Canceled {
			t.Errorf("Confirm: %v", err)
		}
	})
}
