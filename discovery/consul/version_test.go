package consul

import (
	"fmt"
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

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]string{
		"1.8.7":                      "1.8.7 false",
		"1.22.0-rc1":                 "1.22.0 false",
		"1.8.7+ent":                  "1.8.7 true",
		"1.15.2-beta1+ent.fips":      "1.15.2 true",
		"v1.4.0":                     "1.4.0 false",
		"1.8":                        "1.8.0 false",
		"1.8.7+dfsg1":                "1.8.7 false",
		"1.8.7+different":            "1.8.7 false",
		"":                           "",
		"dev":                        "",
		"1.8.x":                      "",
		"-1.8.7":                     "",
		"1.8.9999999999999999999999": "",
		"1.8.7\n+ent\x1b[31m":        "",
		strings.Repeat("1.", 1e6):    "",
	} {
		got := ""
		if v := parseVersion(s); v != (version{}) {
			got = fmt.Sprint(v.release, " ", v.enterprise)
		}
		if got != want {
			t.Errorf("%.40q: %q, want %q", s, got, want)
		}
	}
}

// TestC55WhatAgentsIgnore asks agents of many versions for what they may not
// know. There is no query for a peer; namespaces and partitions are ignored by old
// agents in the same way.
func TestC55WhatAgentsIgnore(t *testing.T) {
	tests := []struct {
		name, version string
		options       Options
		query         Query
		refused       string // "": it is not
	}{
		{"nothing special", "0.6.0", Options{Datacenter: "dc2"}, Query{Tags: []string{"a"}, AddressTag: "wan", PortName: "http"}, ""},
		{"C55 partition", "1.8.7", Options{Partition: "p"}, Query{}, "Consul 1.8.7 and ignores partitions, which need Consul Enterprise 1.11"},
		{"C55 partition of Enterprise before it", "1.10.4+ent", Options{Partition: "p"}, Query{}, "ignores partitions"},
		{"C55 partition of Enterprise", "1.11.0+ent", Options{Partition: "p"}, Query{}, ""},
		{"C55 namespace", "1.22.0", Options{Namespace: "n"}, Query{}, "Consul 1.22.0 and ignores namespaces, which need Consul Enterprise 1.7"},
		{"C55 namespace of Enterprise before it", "1.6.2+ent", Options{Namespace: "n"}, Query{}, "ignores namespaces"},
		{"C55 namespace of Enterprise", "1.7.0+ent", Options{Namespace: "n"}, Query{}, ""},
		{"C55 filter", "1.4.4", Options{}, Query{Filter: "x"}, "Consul 1.4.4 and ignores filters, which need Consul 1.5"},
		{"C55 filter of those that know it", "1.5.0", Options{}, Query{Filter: "x"}, ""},
		{"C55 two tags", "1.2.4", Options{}, Query{Tags: []string{"a", "b"}}, "ignores all tags but one"},
		{"one tag twice", "1.2.4", Options{}, Query{Tags: []string{"a", "a"}}, ""},
		{"C55 node metadata", "0.7.2", Options{}, Query{NodeMeta: []string{"rack:1"}}, "ignores node metadata, which need Consul 0.7.3"},
		{"no version", "unknown", Options{}, Query{Filter: "x", NodeMeta: []string{"rack:1"}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Self(consultest.Self(test.version))
				f.Set("web", ofEnterprise(test.options)...)
				s := fakeSource(t, f, test.options, test.query)
				for _, ask := range []func() (discovery.Reading, error){
					func() (discovery.Reading, error) { return s.Next(t.Context()) },
					func() (discovery.Reading, error) { return s.Confirm(t.Context()) },
				} {
					r, err := ask()
					switch {
					case test.refused == "" && (err != nil || len(r.Endpoints()) != 3):
						t.Errorf("%+v %v", r, err)
					case test.refused != "" && (discovery.ClassOf(err) != discovery.Config || !strings.Contains(err.Error(), test.refused)):
						t.Errorf("got %v", err)
					}
				}
				if n := len(f.Requests()); test.refused != "" && n != 0 {
					t.Errorf("it was asked %d times", n)
				}
				if n := f.SelfAsked(); n > 1 {
					t.Errorf("it was asked what it is %d times", n)
				}
			})
		})
	}
}

// ofEnterprise returns three instances as Enterprise has them.
func ofEnterprise(o Options) []*api.ServiceEntry {
	all := consultest.Instances(3)
	for _, e := range all {
		e.Service.Namespace, e.Service.Partition = o.Namespace, o.Partition
	}
	return all
}

// TestC55RepliesShowIt has agents that do not tell what they are.
func TestC55RepliesShowIt(t *testing.T) {
	asked := Options{Namespace: "team", Partition: "west"}
	foreign := ofEnterprise(asked)
	foreign[2].Service.Namespace = "default"
	tests := []struct {
		name      string
		instances []*api.ServiceEntry
		options   Options
		refused   string
	}{
		{"as asked", ofEnterprise(asked), asked, ""},
		{"letters do not matter", ofEnterprise(asked), Options{Namespace: "Team", Partition: "WEST"}, ""},
		{"the default one, unnamed", consultest.Instances(3), Options{Namespace: "default"}, ""},
		{"none are named", consultest.Instances(3), asked, "it ignores them"},
		{"one is another's", foreign, asked, "it ignores them"},
		{"no instances", nil, asked, "without agent:read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Self(discoverytest.Reply(http.StatusForbidden, "Permission denied"))
				f.Set("web", test.instances...)
				r, err := fakeSource(t, f, test.options, Query{}).Next(t.Context())
				if test.refused == "" {
					if err != nil || len(r.Endpoints()) != 3 {
						t.Errorf("%+v %v", r, err)
					}
					return
				}
				if discovery.ClassOf(err) != discovery.Config || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %+v %v", r, err)
				}
			})
		})
	}
}

// TestC55NoneOnceShown believes that there are none, of an agent that has shown
// what it knows, until another one may answer.
func TestC55NoneOnceShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Namespace: "team", Wait: time.Second}
		f := consultest.NewFake(t)
		f.Self(discoverytest.Reply(http.StatusForbidden, "Permission denied"))
		f.Set("web", ofEnterprise(o)...)
		s := fakeSource(t, f, o, Query{})
		for _, want := range []int{3, 0} {
			if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != want {
				t.Fatalf("%+v %v", r, err)
			}
			f.Set("web")
		}
		f.Refuse(true)
		if _, err := s.Next(t.Context()); discovery.ClassOf(err) != discovery.Transport {
			t.Errorf("refused: %v", err)
		}
		f.Refuse(false)
		if r, err := s.Next(t.Context()); discovery.ClassOf(err) != discovery.Config {
			t.Errorf("another agent: %+v %v", r, err)
		}
	})
}

func TestVersionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Self(consultest.Self("1.4.0"))
		f.Set("web", consultest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{Filter: "x"}))
		time.Sleep(15 * time.Minute) // the second question may come as late as after 5
		if n := f.SelfAsked(); n < 2 || n > 10 {
			t.Errorf("while it is refused, it was asked %d times in 15 minutes", n)
		}
		f.Self(nil)
		time.Sleep(11 * time.Minute)
		updates, _ := w.Seen()
		if last := updates[len(updates)-1]; last.Err != nil {
			t.Fatalf("after the upgrade: %v", last.Err)
		}

		before := f.SelfAsked()
		time.Sleep(time.Hour)
		if n := f.SelfAsked() - before; n != 0 {
			t.Errorf("it was asked %d times again for nothing", n)
		}
		f.Self(consultest.Self("1.4.0"))
		f.Refuse(true)
		f.Refuse(false)
		time.Sleep(5 * time.Minute) // a question that was under way is given up first
		updates = w.End()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3}) || classes[len(classes)-1] != discovery.Config {
			t.Errorf("after another agent took over: sets of %v, errors %v", counts, classes)
		}
	})
}

// TestVersionUnknownForNow keeps everything until the agent can be asked.
func TestVersionUnknownForNow(t *testing.T) {
	for name, test := range map[string]struct {
		self  http.HandlerFunc
		class discovery.Class
	}{
		"a server error":  {discoverytest.Reply(500, "no"), discovery.Server},
		"too busy":        {discoverytest.Reply(429, "no"), discovery.Busy},
		"a login page":    {discoverytest.Reply(200, "<html>"), discovery.Protocol},
		"brackets":        {discoverytest.Reply(200, strings.Repeat(`{"Config":`, 1<<18)), discovery.Protocol},
		"silence":         {consultest.Hang, discovery.Transport},
		"another program": {discoverytest.Reply(200, "{}"), ""},
		"hidden":          {discoverytest.Reply(404, "no"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Self(test.self)
				f.Set("web", consultest.Instances(3)...)
				s := fakeSource(t, f, Options{}, Query{Filter: "x"})
				r, err := s.Next(t.Context())
				if test.class == "" {
					if err != nil || len(r.Endpoints()) != 3 {
						t.Errorf("%+v %v", r, err)
					}
					return
				}
				if discovery.ClassOf(err) != test.class {
					t.Errorf("got %v, want %s", err, test.class)
				}
				f.Self(nil)
				time.Sleep(time.Minute) // a busy agent is left alone
				if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 3 {
					t.Errorf("once it tells: %+v %v", r, err)
				}
			})
		})
	}
}

func TestManyAskForTheVersionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Self(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			consultest.Self("1.8.7")(w, r)
		})
		f.Set("web", consultest.Instances(3)...)
		c := fakeClient(t, f, Options{})
		for range 20 {
			discoverytest.Watch(t, source(t, c, Query{Filter: "x"}))
		}
		time.Sleep(10 * time.Second)
		if n := f.SelfAsked(); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
	})
}
