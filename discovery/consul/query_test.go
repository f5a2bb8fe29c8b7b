package consul

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

func TestC54SourceRefuses(t *testing.T) {
	c, err := NewClient(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"", ".", "..", "a/b", "../../kv/x", `a\b`, "a?b", "a#b", "a%2fb", "a b", "a\nb", "a\x00b", strings.Repeat("x", 129), "a\u2028b",
	} {
		if _, err := c.Source(Query{Service: name}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for _, name := range []string{"web", "web.v2", "web_1-x", "wéb", strings.Repeat("x", 128)} {
		if s, err := c.Source(Query{Service: name}); err != nil || s.String() != "consul service "+name {
			t.Errorf("%q: %v %v", name, s, err)
		}
	}
}

func TestQueryIsChecked(t *testing.T) {
	c, err := NewClient(Options{Datacenter: "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	for want, queries := range map[string][]Query{
		"is not one of warning, passing": {{Health: "ok"}},
		"is not a tag":                   {{Tags: []string{"a", ""}}, {Tags: []string{"a\nb"}}, {Tags: []string{strings.Repeat("x", 256)}}},
		"datacenter":                     {{Datacenter: "dc 1"}, {Datacenter: "a/b"}, {Datacenter: strings.Repeat("x", 65)}},
		"is not KEY:VALUE": {{NodeMeta: []string{"rack"}}, {NodeMeta: []string{":1"}}, {NodeMeta: []string{"ra ck:1"}},
			{NodeMeta: []string{"rack:1\n"}}, {NodeMeta: []string{"rack:" + strings.Repeat("x", 513)}}},
		"two values of rack": {{NodeMeta: []string{"rack:1", "rack:2"}}},
		"tag of an address":  {{AddressTag: "w n"}, {AddressTag: strings.Repeat("x", 129)}},
		"name of a port":     {{PortName: "a b"}, {PortName: "\x1b"}},
		"default port":       {{DefaultPort: -1}, {DefaultPort: 65536}},
		"the filter":         {{Filter: "a\x00"}, {Filter: "a\x1b[31m"}, {Filter: "\xff"}, {Filter: strings.Repeat("x", maxFilter+1)}},
	} {
		for _, q := range queries {
			q.Service = "web"
			if _, err := c.Source(q); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "service web") || len(err.Error()) > 250 {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
	good := Query{
		Service: "web", Datacenter: "dc-2", Tags: []string{"ü", "a b", "a=b"}, NodeMeta: []string{"rack:a:b c", "empty:", "rack:a:b c"},
		Filter: "Service.Meta.v == \"2\" and\n\tnot \"é\" in Service.Tags", AddressTag: "wan_ipv4", PortName: "http-2.x", DefaultPort: 65535, Health: Any,
	}
	if s, err := c.Source(good); err != nil || s.String() != "consul service web in dc-2" {
		t.Errorf("%v %v", s, err)
	}
}

func TestNamesOfOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"datacenter": {Datacenter: "a b"}, "namespace": {Namespace: "a/b"}, "partition": {Partition: "*"}, `namespace "`: {Namespace: strings.Repeat("x", 65)},
	} {
		if _, err := NewClient(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestWhatIsSent compares URLs, for equal questions have to be equal to the
// agent.
func TestWhatIsSent(t *testing.T) {
	o := Options{Datacenter: "dc1", Namespace: "team", Partition: "west"}
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Self(consultest.Self("1.22.0+ent"))
		f.Set("web", ofEnterprise(o)...)
		c := fakeClient(t, f, o)
		for _, q := range []Query{
			{Tags: []string{"b", "a", "b"}, NodeMeta: []string{"zone:2", "rack:a b", "zone:2"}, Filter: `"x" in Service.Tags`, AddressTag: "wan", PortName: "p", DefaultPort: 1},
			{Tags: []string{"a", "b"}, NodeMeta: []string{"rack:a b", "zone:2"}, Filter: `"x" in Service.Tags`, Health: Any, IgnoreNodeHealth: true},
			{Datacenter: "dc2"},
		} {
			if _, err := source(t, c, q).Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var asked []string
		for _, r := range f.Requests() {
			asked = append(asked, r.URL.RawQuery)
		}
		const long = "dc=dc1&filter=%22x%22+in+Service.Tags&node-meta=rack%3Aa+b&node-meta=zone%3A2&ns=team&partition=west&tag=a&tag=b"
		if want := []string{long, long, "dc=dc2&ns=team&partition=west"}; !slices.Equal(asked, want) {
			t.Errorf("asked %q", asked)
		}
	})
}
