package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// sourcesHead has one source of each type.
const sourcesHead = "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\n" +
	"sources: [{name: c, type: consul}, {name: d, type: dns}, {name: f, type: file, path: /e/*.yaml}, {name: n, type: nomad}]\n"

func TestFeeds(t *testing.T) {
	cfg, err := parse(sourcesHead+`
backends:
  - name: w
    from:
      - {source: c, service: w, datacenter: dc1}
      - {source: c, name: far, service: w, datacenter: dc2}
      - {source: f}
      - {source: n, service: w, tags: [a]}
      - {source: d, record: w.x, port: 80}
    failover: {primary: far, after: 1s}
    family: v4
    allow: [10.0.0.0/8, 192.0.2.1]
    deny: [10.1.0.0/16]
    on_all_unhealthy: drop
    guard: {min_endpoints: 2, turnover_wait: 0s}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := cfg.Backends[0]
	var names []string
	for _, f := range b.Feeds {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"c", "far", "f", "n", "d"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sources.Failover{Primary: "far", Min: 1, After: time.Second, Back: time.Minute}, b.Failover); diff != "" {
		t.Error(diff)
	}
	want := discovery.Policy{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")},
		Deny:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Family: "v4",
	}
	if diff := cmp.Diff(want, b.Policy, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if b.Guard.MinEndpoints != 2 || b.Guard.TurnoverWait != guard.Off || b.OnAllUnhealthy != "drop" || b.Feeds[1].Consul.Datacenter != "dc2" {
		t.Errorf("%+v", b)
	}
}

func TestFaultsOfFeeds(t *testing.T) {
	backend := func(text string) string { return sourcesHead + "backends: [{name: w, " + text + "}]\n" }
	source := func(text string) string {
		return "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, " + text + "}]\nbackends: [{name: w, endpoints: ['10.0.0.1:80']}]\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"file without path", source("type: file"), "2:11: sources[0].path: is missing"},
		{"relative path", source("type: file, path: e/*.yaml"), `2:39: sources[0].path: "e/*.yaml" is not absolute`},
		{"path of a folder", source("type: file, path: /e"), `sources[0].path: "/e" does not end in .yaml`},
		{"broken pattern", source("type: file, path: '/e/[.yaml'"), "syntax error in pattern"},
		{"path for consul", source("type: consul, path: /e.yaml"), "2:41: sources[0].path: is for sources of type file"},
		{"region for consul", source("type: consul, region: r"), "region: is for sources of type nomad"},
		{"partition for nomad", source("type: nomad, partition: p"), "partition: is for sources of type consul"},
		{"wait for dns", source("type: dns, wait: 5s"), "wait: is for sources of type consul and nomad"},
		{"tls for file", source("type: file, path: /e.yaml, tls: {}"), "tls: is for sources of type consul and nomad"},
		{"bad namespace", source("type: nomad, namespace: 'a/b'"), `sources[0].namespace: "a/b" is not a name`},
		{"bad answers", source("type: dns, answers: ful"), `"ful" is none of auto, full, partial; did you mean "full"?`},
		{"short poll", source("type: consul, poll_interval: 1ms"), "1ms is not within 1s and 10m"},
		{"long hold", source("type: dns, hold_obsolete: 2h"), "2h is not within"},
		{"relative authorities", source("type: nomad, tls: {ca_path: ca}"), `tls.ca_path: "ca" is not an absolute path`},
		{"bad key", source("type: consul, tls: {ca_pth: /x}"), `unknown key "ca_pth"; did you mean "ca_path"?`},

		{"source and from", backend("source: c, service: w, from: [{source: f}]"), "from: does not go with a backend with source"},
		{"from and endpoints", backend("from: [{source: f}], endpoints: ['10.0.0.1:80']"), "endpoints: does not go with a backend with from"},
		{"from and service", backend("from: [{source: f}], service: w"), "3:52: backends[0].service: does not go with a backend with from"},
		{"empty from", backend("from: []"), "from: names no source"},
		{"from without source", backend("from: [{service: w}]"), "from[0].source: is missing"},
		{"from of an unknown one", backend("from: [{source: cc}]"), `from[0].source: there is no source named "cc"; did you mean "c"?`},
		{"from with a foreign key", backend("from: [{source: d, record: x.y, port: 1, tags: [a]}]"), "from[0].tags: does not go with a source of type dns"},
		{"from twice", backend("from: [{source: f}, {source: f, service: w}]"), `from[1].source: source "f" is there twice: give the entries names that differ`},
		{"from with one name", backend("from: [{source: f}, {source: c, name: f, service: w}]"), `from[1].name: another entry has the name "f" already`},
		{"from the same", backend("from: [{source: f}, {source: f, name: g}]"), `from[1].source: asks for the same as "f"`},
		{"from with a bad name", backend("from: [{source: f, name: 'a b'}]"), `from[0].name: "a b" is not a name`},
		{"unknown key of from", backend("from: [{source: f, servce: w}]"), `backends[0].from[0]: unknown key "servce"; did you mean "service"?`},

		{"failover without from", backend("source: f, failover: {primary: f}"), "failover: does not go with a backend with source"},
		{"failover without primary", backend("from: [{source: f}, {source: c, service: w}], failover: {min: 2}"), "failover.primary: is missing"},
		{"failover to nobody", backend("from: [{source: f}], failover: {primary: f}"), "failover: there is no second source to go to"},
		{"failover of an unknown one", backend("from: [{source: f}, {source: c, service: w}], failover: {primary: n}"), `there is no entry of from named "n": there is f, c`},
		{"failover below one", backend("from: [{source: f}, {source: c, service: w}], failover: {primary: f, min: 0}"), "failover.min: 0 is not within 1 and 10000"},

		{"filter for a file", backend("source: f, filter: x"), "filter: does not go with a source of type file"},
		{"health for nomad", backend("source: n, service: w, health: any"), "health: does not go with a source of type nomad"},
		{"node_meta", backend("source: c, service: w, node_meta: [rack]"), `node_meta[0]: "rack" is not key:value`},
		{"two of one node_meta", backend("source: c, service: w, node_meta: ['a:b', 'a:c']"), "a node cannot have two values of a"},
		{"default_port", backend("source: c, service: w, default_port: 0"), "default_port: 0 is not within 1 and 65535"},
		{"C54 service with a slash", backend("source: c, service: a/b"), `service: "a/b" is not a name`},
		{"C54 service with dots", backend("source: c, service: ../kv"), `service: "../kv" is not a name`},
		{"C54 service of dots", backend("source: c, service: '..'"), `".." cannot be the name of a service`},
		{"nomad service", backend("source: n, service: 'a:b'"), `"a:b" cannot be the name of a service`},
		{"empty tag", backend("source: n, service: w, tags: ['']"), `tags[0]: "" is not a tag`},

		{"family", backend("source: f, family: ipv6"), `family: "ipv6" is none of any, v4, v6, prefer-v4; did you mean "v6"?`},
		{"family of other records", backend("source: d, record: x.y, port: 1, type: A, family: v6"), "type: A records are not of family v6"},
		{"no network", backend("source: f, allow: [10.0.0.0/33]"), `allow[0]: "10.0.0.0/33" is not a network`},
		{"bits of a host", backend("source: f, deny: [10.0.0.1/8]"), `deny[0]: 10.0.0.1/8 has bits beyond its length; did you mean "10.0.0.0/8"?`},
		{"mapped network", backend("source: f, deny: ['::ffff:10.0.0.0/104']"), "write IPv4 networks as such"},
		{"denied endpoint", backend("endpoints: ['10.0.0.1:80'], deny: [10.0.0.0/8]"), "endpoints[0]: 10.0.0.1:80 is refused by the backend's own rules (denied)"},
		{"on_all_unhealthy", backend("source: f, on_all_unhealthy: kep"), `"kep" is none of auto, keep, drop; did you mean "keep"?`},
		{"endless turnover", backend("source: f, guard: {turnover_wait: never}"), `turnover_wait: "never" is not a duration`},
		{"min_endpoints", backend("source: f, guard: {min_endpoints: -1}"), "min_endpoints: -1 is not within 0 and 10000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.text, nil)
			if err == nil {
				t.Fatal("no fault")
			}
			if got := strings.ReplaceAll(err.Error(), "slotsync.yaml:", ""); !strings.Contains(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			wantSchemaToSee(t, tt.text, tt.want)
			if lines := strings.Split(err.Error(), "\n"); len(lines) > 1 {
				t.Errorf("%d faults are reported for one:\n%s", len(lines), err)
			}
		})
	}
}
