package slots_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func named(names ...string) (servers []slots.Server) {
	for _, n := range names {
		servers = append(servers, slots.Server{Name: n})
	}
	return servers
}

func TestOwn(t *testing.T) {
	tests := []struct {
		name, prefix string
		servers      []string
		want         []string
	}{
		{"sorted by number", "web", []string{"web10", "web9", "web100"}, []string{"web9", "web10", "web100"}},
		{"only the prefix", "web", []string{"web1", "api1", "webx1", "web"}, []string{"web1"}},
		{"no leading zeros", "web", []string{"web01", "web0", "web1"}, []string{"web0", "web1"}},
		{"no signs", "web", []string{"web-1", "web+1", "web1 ", "web１"}, nil},
		{"digits in the prefix", "web1-", []string{"web1-2", "web1", "web1-1"}, []string{"web1-1", "web1-2"}},
		{"prefix that ends in a digit", "web1", []string{"web12", "web110", "web11", "web1"}, []string{"web11", "web12", "web110"}},
		{"none", "web", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range slots.Own(named(tt.servers...), tt.prefix) {
				got = append(got, s.Name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMarkDynamic(t *testing.T) {
	tests := []struct {
		name     string
		servers  []slots.Server
		disabled string // the names of those that are
		want     string // and of those that were added
	}{
		{"above the template", named("web2", "web10", "web3", "web1", "web11"), "web1 web2 web3", "web10 web11"},
		{"number is not length", named("web9", "web10"), "web10", ""},
		{"below the template", named("web1", "web2"), "web2", ""},
		{"between", named("web1", "web2", "web3", "web4"), "web1 web3", "web4"},
		{"no template", named("web1", "web2"), "", ""},
		{"nothing added", named("web1", "web2"), "web1 web2", ""},
		{"none", nil, "", ""},
		{"with a host name", append(named("web1", "web8"), slots.Server{Name: "web9", FQDN: "web.example.org"}), "web1", "web8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.servers {
				s := &tt.servers[i]
				s.Disabled, s.Dynamic = slices.Contains(strings.Fields(tt.disabled), s.Name), true
				if s.Initial = 7; s.Disabled {
					s.Initial, s.FQDN = 100, "slot.invalid"
				}
			}
			var got []string
			for _, s := range slots.Own(tt.servers, "web") {
				if s.Dynamic {
					got = append(got, s.Name)
					if s.Initial != 100 {
						t.Errorf("%s: initial weight %d", s.Name, s.Initial)
					}
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Lines with an address, as a configuration may have them above disabled ones, are
// never taken for added servers.
func TestMarkDynamicSparesTheConfiguration(t *testing.T) {
	own := named("web1", "web2", "web3")
	own[0].Disabled, own[1].Disabled = true, true
	slots.MarkDynamic(own)
	if own[2].Dynamic {
		t.Error("web3 would be deleted")
	}
}

func TestFindPrefixBesideAddedServers(t *testing.T) {
	hosts := func(servers []slots.Server) []slots.Server {
		for i := range servers {
			servers[i].Disabled, servers[i].FQDN = true, "slot.invalid"
		}
		return servers
	}
	other := slots.Server{Name: "web3", FQDN: "web.example.org"}
	tests := []struct {
		name    string
		servers []slots.Server
		want    string
	}{
		{"added", append(named("web10"), hosts(named("web1", "web2"))...), "web"},
		{"added, lower number", append(named("web1"), hosts(named("web2", "web3"))...), ""},
		{"with a host name", append(hosts(named("web1", "web2")), other), ""},
		{"one without among others", append(append(hosts(named("web1")), slots.Server{Name: "web2", Disabled: true}), named("web3")...), ""},
		{"two templates", append(named("web3"), hosts(named("web1", "api1"))...), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := slots.FindPrefix(tt.servers); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFindPrefix(t *testing.T) {
	disabled := func(servers []slots.Server) []slots.Server {
		for i := range servers {
			servers[i].Disabled = true
		}
		return servers
	}
	tests := []struct {
		name       string
		servers    []slots.Server
		want       string
		candidates []string
	}{
		{name: "one template", servers: disabled(named("web1", "web2")), want: "web"},
		{name: "beside static servers", servers: append(disabled(named("web1", "web2")), named("api1", "backup")...), want: "web"},
		{name: "names without number do not count", servers: disabled(named("web1", "backup")), want: "web"},
		{name: "names that are a number do not count", servers: disabled(named("web1", "17")), want: "web"},
		{name: "names with leading zeros do not count", servers: disabled(named("web1", "api01")), want: "web"},
		{name: "two templates", servers: disabled(named("web1", "api1")), candidates: []string{"api", "web"}},
		{name: "not all disabled", servers: append(disabled(named("web1")), named("web2")...), candidates: []string{"web"}},
		{name: "first not disabled", servers: append(named("web2"), disabled(named("web1"))...), candidates: []string{"web"}},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, candidates := slots.FindPrefix(tt.servers)
			if got != tt.want || !slices.Equal(candidates, tt.candidates) {
				t.Errorf("got %q, %q, want %q, %q", got, candidates, tt.want, tt.candidates)
			}
		})
	}
}

func TestPlaceholder(t *testing.T) {
	at := func(class slots.Class, ns ...int) (own []slots.Server) {
		for _, n := range ns {
			own = append(own, slots.Server{Addr: addr(n), Class: class})
		}
		return own
	}
	tests := []struct {
		name string
		own  []slots.Server
		want netip.AddrPort
	}{
		{"all unused", at(slots.Maint, 9, 9, 9), addr(9)},
		{"more than half of those not ready", append(at(slots.Maint, 9, 9, 1), at(slots.Ready, 2, 3, 4)...), addr(9)},
		{"just half", at(slots.Maint, 9, 9, 1, 2), netip.AddrPort{}},
		{"one alone", at(slots.Maint, 9), netip.AddrPort{}},
		{"in use", append(at(slots.Maint, 9, 9), at(slots.Ready, 9)...), netip.AddrPort{}},
		{"nothing", nil, netip.AddrPort{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := slots.Placeholder(tt.own); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestIsPlaceholder(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "127.0.0.1:2": false,
		"0.0.0.0:0": true, "0.0.0.0:80": true, "[::]:80": true, "10.0.0.9:80": true, "10.0.0.8:80": false,
	}
	for s, want := range tests {
		if got := slots.IsPlaceholder(netip.MustParseAddrPort(s), addr(9)); got != want {
			t.Errorf("%s: got %v, want %v", s, got, want)
		}
	}
	if !slots.IsPlaceholder(netip.AddrPort{}, addr(9)) {
		t.Error("no address is a placeholder")
	}
	if slots.IsPlaceholder(addr(8), netip.AddrPort{}) {
		t.Error("10.0.0.8:80 is no placeholder")
	}
}
