package consul

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

const list3 = `[{"Node":{},"Service":{"ID":"a","Address":"10.9.0.1","Port":1}},{"Node":{},"Service":{"ID":"b","Address":"10.9.0.2","Port":1}},` +
	`{"Node":{},"Service":{"ID":"c","Address":"10.9.0.3","Port":1}}]`

func TestC15TokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		token, valid, denied := "old", "old", 0
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Consul-Token") != valid || r.URL.Query().Has("token") {
				discoverytest.Reply(403, "ACL not found")(w, r)
				return
			}
			consultest.Good(50, list3)(w, r)
		})
		s := fakeSource(t, f, Options{Token: func() string { return token }, Denied: func() { denied++; token = "new" }}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		valid = "new"
		if r, err := s.Next(t.Context()); err != nil || denied != 1 || len(r.Endpoints()) != 3 {
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
	for mode, want := range map[string]string{"": "stale", "stale": "stale", "default": "", "cached": "cached"} {
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
			for _, m := range []string{"stale", "cached", "consistent"} {
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
		w := discoverytest.Watch(t, fakeSource(t, f, Options{Wait: 10 * time.Second}, Query{}))
		time.Sleep(10 * time.Minute)
		updates := w.End()
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
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Minute)
		f.Refuse(true)
		f.Always(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				consultest.Good(1, "[]", "X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming")(w, r)
				return
			}
			discoverytest.Reply(500, "No known Consul servers")(w, r)
		})
		f.Refuse(false)
		time.Sleep(10 * time.Minute)
		f.Always(nil)
		time.Sleep(time.Minute)
		updates := w.End()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3}) || classes[len(classes)-1] != discovery.Server || updates[len(updates)-1].Err != nil {
			t.Errorf("sets of %v, errors %v, last %v", counts, classes, updates[len(updates)-1].Err)
		}
	})
}

func TestProbeAfterError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		f.Script(consultest.Good(50, list3), discoverytest.Reply(500, "rpc error getting client"), consultest.Good(50, list3), consultest.Good(50, list3))
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
		if waits[0] < 48*time.Second || waits[1] != time.Second/4 || waits[2] < 48*time.Second {
			t.Errorf("waits %v", waits)
		}
	})
}

func TestConfirmWhileNextBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		s := fakeSource(t, f, Options{}, Query{})
		discoverytest.Watch(t, s)
		time.Sleep(time.Second)
		f.SetQuietly("web", consultest.Instances(1)...)
		if r, err := s.Confirm(t.Context()); err != nil || len(r.Endpoints()) != 1 || !r.Whole() {
			t.Errorf("confirmed %+v %v", r, err)
		}
		f.Header("X-Consul-Results-Filtered-By-ACLs", "true")
		if r, err := s.Confirm(t.Context()); err != nil || r.Whole() || len(r.Endpoints()) != 1 {
			t.Errorf("fewer for lack of rights: %+v %v", r, err)
		}
		f.SetQuietly("web")
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Auth {
			t.Errorf("none for lack of rights: %v", err)
		}
		f.Always(consultest.Hang)
		begun := time.Now()
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Transport || time.Since(begun) != 15*time.Second {
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
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
		time.Sleep(time.Second)
		all := consultest.Instances(4)
		for i, id := range []string{"_service_maintenance:web-1", api.NodeMaint, api.NodeMaint} {
			all[i].Checks = append(all[i].Checks, &api.HealthCheck{CheckID: id, Status: api.HealthCritical})
		}
		f.Set("web", all...)
		time.Sleep(time.Second)
		updates := w.End()
		last := updates[len(updates)-1].Reading
		want := []string{"10.0.0.1:8080 (drain)", "10.0.0.2:8080 (drain)", "10.0.0.3:8080 (drain)", "10.0.0.4:8080"}
		if got := describe(last); !slices.Equal(got, want) || !last.Whole() {
			t.Errorf("got %v", got)
		}
	})
}
