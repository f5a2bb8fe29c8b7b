package doctor

import (
	"net/netip"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/discovery/nomad"
)

func TestJudgeLeader(t *testing.T) {
	named := func(names ...string) discovery.Reading {
		var eps []discovery.Endpoint
		for i, name := range names {
			eps = append(eps, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(80+i)), Name: name})
		}
		return discovery.Complete(eps...)
	}
	for _, tt := range []struct {
		name    string
		rules   guard.Rules
		feed    config.Feed
		reading discovery.Reading
		hint    bool
	}{
		{"a tag", guard.Rules{}, config.Feed{Consul: consul.Query{Service: "pg", Tags: []string{"v3", "Leader"}}}, named("a"), true},
		{"a service", guard.Rules{}, config.Feed{Nomad: nomad.Query{Service: "redis-master"}}, named(), true},
		{"a filter", guard.Rules{}, config.Feed{Consul: consul.Query{Service: "pg", Filter: `"primary" in Service.Tags`}}, named("a", "b"), true},
		{"a name in DNS", guard.Rules{}, config.Feed{DNS: dns.Query{Record: "master.pg.service.consul"}}, named(), true},
		{"a service in files", guard.Rules{}, config.Feed{File: file.Query{Service: "pg_primary"}}, named(), true},
		{"the only endpoint", guard.Rules{}, config.Feed{Consul: consul.Query{Service: "pg"}}, named("pg-leader-2"), true},
		{"one of several endpoints", guard.Rules{}, config.Feed{Consul: consul.Query{Service: "pg"}}, named("pg-leader-2", "pg-1"), false},
		{"part of a word", guard.Rules{}, config.Feed{Consul: consul.Query{Service: "webmaster", Tags: []string{"leaders", "primaryx"}}}, named(), false},
		{"nothing of the kind", guard.Rules{RemovalHold: time.Second}, config.Feed{Consul: consul.Query{Service: "web"}}, named("web-1"), false},
		{"half set", guard.Rules{RemovalHold: guard.Off}, config.Feed{Consul: consul.Query{Service: "pg", Tags: []string{"leader"}}}, named(), true},
		{"set", guard.Rules{RemovalHold: guard.Off, TurnoverWait: guard.Off}, config.Feed{Consul: consul.Query{Service: "pg", Tags: []string{"leader"}}}, named(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f findings
			f.judgeLeader(tt.rules, tt.feed, tt.reading)
			var want []string
			if tt.hint {
				want = []string{"warn exactly one leader: with guard: {removal_hold: 0s, turnover_wait: 0s}"}
			}
			expect(t, f.list, want)
		})
	}
}
