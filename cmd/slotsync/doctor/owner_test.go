package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestJudgeOwners(t *testing.T) {
	free := slots.Server{Name: "s1", Addr: netip.MustParseAddrPort("127.0.0.1:1"), FQDN: "slot.invalid"}
	used := slots.Server{Name: "s2", Addr: netip.MustParseAddrPort("10.0.0.1:80"), Class: slots.Ready, FQDN: "slot.invalid"}
	agent, srv := used, free
	agent.Agent, srv.Resolved = true, true
	for name, test := range map[string]struct {
		backend config.Backend
		own     []slots.Server
		want    []string
	}{
		"fine":           {config.Backend{Proxy: "web"}, []slots.Server{free, used}, nil},
		"agent":          {config.Backend{Proxy: "web"}, []slots.Server{free, agent}, []string{"ok their weight is the agent's"}},
		"an SRV record":  {config.Backend{Proxy: "web"}, []slots.Server{srv}, []string{"fail remove `resolvers`"}},
		"none is spare":  {config.Backend{Proxy: "web"}, []slots.Server{used}, []string{"warn have a spare slot"}},
		"may be added":   {config.Backend{Proxy: "web", Dynamic: true}, []slots.Server{used}, nil},
		"never been set": {config.Backend{Proxy: "web"}, []slots.Server{free}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var f findings
			f.judgeOwners(test.backend, test.own)
			expect(t, f.list, test.want)
		})
	}
}

func TestAskResolvers(t *testing.T) {
	fake := haproxytest.NewFake(t, "3.2", haproxytest.Backend{Name: "web"}, haproxytest.Backend{Name: "res", Resolvers: "dns"})
	client, err := haproxy.New(haproxy.Options{Socket: fake.Socket})
	if err != nil {
		t.Fatal(err)
	}
	view, err := client.View(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "res"} {
		var f findings
		f.askResolvers(t.Context(), client, config.Backend{Proxy: name}, view.Servers[name])
		if found := len(f.list) == 1 && strings.Contains(f.list[0].Text, "remove `resolvers`"); found != (name == "res") {
			t.Errorf("%s: %+v", name, f.list)
		}
	}
}
