package consul

import (
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

func TestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(12)...)
		f.SetIndex(43)
		o := Options{
			Address: "http://consul.example.org:8500", Token: func() string { return "sesame" },
			Auth: func() (string, string) { return "aladdin", "sesame" },
		}
		s := fakeSource(t, f, o, Query{Tags: []string{"prod"}})
		if a := s.Activity(); a.Question != "" || a.Answer != "" || a.Remarks != nil {
			t.Errorf("before anything: %+v", a)
		}
		begun := time.Now()
		discoverytest.Watch(t, s)
		time.Sleep(time.Second)
		a := s.Activity()
		if !strings.HasPrefix(a.Question, "GET /v1/health/service/web?index=43&") || !strings.HasSuffix(a.Question, " of http://consul.example.org:8500") {
			t.Errorf("question: %s", a.Question)
		}
		if a.Answer != "200, 12 instances, index 43" || a.Answered != begun || a.Asked.Before(begun) || !a.Next.IsZero() || a.Remarks != nil {
			t.Errorf("activity: %+v", a)
		}
		f.Always(discoverytest.Reply(500, "No cluster\nleader sesame"))
		f.Touch("web")
		time.Sleep(10 * time.Minute)
		if a = s.Activity(); a.Answer != "server: Consul answered 500: No cluster.leader sesame" {
			t.Errorf("answer: %s", a.Answer)
		}
		r := f.Requests()[0]
		if user, password, ok := r.BasicAuth(); !ok || user != "aladdin" || password != "sesame" || strings.Contains(a.Question, "sesame") {
			t.Errorf("basic authentication %s %s %v, question %s", user, password, ok, a.Question)
		}
	})
}

// TestActivityRemarks brings about what one should know.
func TestActivityRemarks(t *testing.T) {
	header := []string{"X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming"}
	tests := []struct {
		name   string
		answer http.HandlerFunc // of the second request
		then   http.HandlerFunc
		remark string
	}{
		{"too busy", discoverytest.Reply(429, ""), nil, "nothing is asked for"},
		{"without servers", consultest.Good(50, list3, header...), discoverytest.Reply(500, "No known Consul servers"), "degraded, nothing is removed"},
		{"too old", consultest.Good(60, list3, "X-Consul-LastContact", "60000"), nil, "only the leader is asked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, s := knowing(t, list3)
				time.Sleep(time.Minute)
				f.Script(test.answer)
				if test.then != nil {
					f.Script(test.then)
				}
				_, _ = s.Next(t.Context()) // whatever it says
				if got := s.Activity().Remarks; len(got) != 1 || !strings.HasPrefix(got[0], test.remark) {
					t.Errorf("remarks %q", got)
				}
			})
		})
	}
}

func TestActivityOfPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		c := fakeClient(t, f, Options{PollInterval: 20 * time.Second})
		watches := startMany(t, f, c, queries)
		time.Sleep(5 * time.Second)
		s := source(t, c, Query{Service: service(0)})
		w := discoverytest.Watch(t, s)
		time.Sleep(time.Minute)
		a := s.Activity()
		polled := func(r string) bool { return strings.HasPrefix(r, "polled every 20s: all 92 places") }
		if !slices.ContainsFunc(a.Remarks, polled) || !a.Next.After(time.Now()) || strings.Contains(a.Question, "index") {
			t.Errorf("polling: %+v", a)
		}
		watches[0].End()
		time.Sleep(80 * time.Second)
		if a = s.Activity(); len(a.Remarks) != 0 || !a.Next.IsZero() || !strings.Contains(a.Question, "index") {
			t.Errorf("with a place: %+v", a)
		}
		if err := firstError(w.End()); err != nil {
			t.Error(err)
		}
		if discovery.ActivityOf(s).Question == "" {
			t.Error("it is not told")
		}
	})
}
