package dns

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// dual serves two hosts that have both families, and one that has only IPv6.
func dual(asked *[]string, mu *sync.Mutex) script {
	records := map[string][]string{
		"both.test. A": {"both.test. 5 IN A 10.0.0.1"}, "both.test. AAAA": {"both.test. 5 IN AAAA 2001:db8::1"},
		"six.test. AAAA":      {"six.test. 5 IN AAAA 2001:db8::6"},
		"_web._tcp.test. SRV": {"_web._tcp.test. 5 IN SRV 1 1 80 both.test.", "_web._tcp.test. 5 IN SRV 1 1 80 six.test.", "_web._tcp.test. 5 IN SRV 1 1 80 glue.test."},
	}
	return func(_, _ string, q *wire.Msg) *wire.Msg {
		what := q.Question[0].Name + " " + wire.TypeToString[q.Question[0].Qtype]
		mu.Lock()
		*asked = append(*asked, what)
		mu.Unlock()
		m := answer(q, records[what]...)
		if len(m.Answer) == 0 {
			m.Ns = []wire.RR{mustRR("test. 5 IN SOA ns.test. x.test. 1 1 1 1 5")}
		}
		if strings.HasPrefix(what, "_") {
			m.Extra = []wire.RR{mustRR("glue.test. 5 IN A 10.0.0.9"), mustRR("glue.test. 5 IN AAAA 2001:db8::9")}
		}
		return m
	}
}

func TestFamiliesAskWhatIsNeeded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, file, "nameserver 192.0.2.1\noptions no-aaaa\n")
	cases := []struct {
		name, record, kind, family string
		noAAAA                     bool
		asked, want                string
	}{
		{"any", "both.test", "", "", false, "both.test. A both.test. AAAA", "10.0.0.1:80 [2001:db8::1]:80"},
		{"v4", "both.test", "", discovery.OnlyV4, false, "both.test. A", "10.0.0.1:80"},
		{"v6", "both.test", "", discovery.OnlyV6, false, "both.test. AAAA", "[2001:db8::1]:80"},
		{"prefer v4, and it has it", "both.test", "", discovery.PreferV4, false, "both.test. A both.test. AAAA", "10.0.0.1:80 [2001:db8::1]:80"},
		{"prefer v4, and it has not", "six.test", "", discovery.PreferV4, false, "six.test. A six.test. AAAA", "[2001:db8::6]:80"},
		{"prefer v4 of one type", "both.test", TypeAAAA, discovery.PreferV4, false, "both.test. AAAA", "[2001:db8::1]:80"},
		{"no-aaaa", "both.test", "", discovery.AnyFamily, true, "both.test. A", "10.0.0.1:80"},
		{"no-aaaa, and wanted by itself", "both.test", TypeAAAA, "", true, "both.test. AAAA", "[2001:db8::1]:80"},
		{"SRV any", "_web._tcp.test", "", "", false,
			"_web._tcp.test. SRV both.test. A both.test. AAAA six.test. A six.test. AAAA",
			"10.0.0.1:80 10.0.0.9:80 [2001:db8::1]:80 [2001:db8::6]:80 [2001:db8::9]:80"},
		{"SRV v4", "_web._tcp.test", "", discovery.OnlyV4, false, "_web._tcp.test. SRV both.test. A six.test. A", "10.0.0.1:80 10.0.0.9:80"},
		{"SRV v6", "_web._tcp.test", "", discovery.OnlyV6, false, "_web._tcp.test. SRV both.test. AAAA six.test. AAAA",
			"[2001:db8::1]:80 [2001:db8::6]:80 [2001:db8::9]:80"},
		{"SRV prefer v4", "_web._tcp.test", "", discovery.PreferV4, false,
			"_web._tcp.test. SRV both.test. A both.test. AAAA six.test. A six.test. AAAA",
			"10.0.0.1:80 10.0.0.9:80 [2001:db8::1]:80 [2001:db8::6]:80 [2001:db8::9]:80"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := Options{Servers: []string{one}}
				if c.noAAAA {
					o = Options{ResolvConf: file}
				}
				q := Query{Record: c.record, Type: c.kind, Family: c.family}
				if q.kind() != TypeSRV {
					q.Port = 80
				}
				s := newSource(t, o, q)
				var mu sync.Mutex
				var asked []string
				s.client.exchange = dual(&asked, &mu).exchange
				r := next(t, s)
				slices.Sort(asked)
				if got := strings.Join(asked, " "); got != c.asked {
					t.Errorf("asked %s, want %s", got, c.asked)
				}
				wantStrong(t, r, strings.Fields(c.want)...)
			})
		})
	}
}

func TestFamiliesThatLeaveNothing(t *testing.T) {
	c, err := NewClient(Options{Servers: []string{one}})
	must(t, err)
	for _, q := range []Query{
		{Record: "x.test", Type: TypeA, Port: 80, Family: discovery.OnlyV6},
		{Record: "x.test", Type: TypeAAAA, Port: 80, Family: discovery.OnlyV4},
		{Record: "x.test", Port: 80, Family: "ipv4"},
	} {
		if _, err := c.Source(q); err == nil || !strings.Contains(err.Error(), "family") {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Where IPv4 is preferred and in trouble, what is known of it is kept, so that IPv6 is
// used only if nothing is.
func TestPreferV4InTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Options{Servers: []string{one}}, Query{Record: "x.test", Port: 80, Family: discovery.PreferV4})
		broken := false
		s.client.exchange = script(func(_, _ string, q *wire.Msg) *wire.Msg {
			switch {
			case q.Question[0].Qtype == wire.TypeAAAA:
				return answer(q, "x.test. 5 IN AAAA 2001:db8::1")
			case broken:
				return new(wire.Msg).SetRcode(q, wire.RcodeServerFailure)
			}
			return answer(q, "x.test. 5 IN A 10.0.0.1")
		}).exchange
		preferred := func(k discoverytest.Keeper) (out []string) {
			var all []discovery.Endpoint
			for _, p := range k {
				all = append(all, p.Endpoints...)
			}
			kept, _ := discovery.Policy{Family: discovery.PreferV4}.Select(all)
			return texts(discovery.Complete(kept...))
		}
		k := discoverytest.Keeper{}
		for range 3 {
			r := next(t, s)
			k.Take(r)
			if got := preferred(k); !slices.Equal(got, []string{"10.0.0.1:80"}) {
				t.Errorf("preferred %v of %v", got, r.Parts)
			}
			broken = true
		}
	})
}

func TestSpelledTargets(t *testing.T) {
	cases := map[string]string{
		"0a090001.addr.dc1.consul.":                         "10.9.0.1",
		"20010db8000000000000000000000001.addr.dc1.consul.": "2001:db8::1",
		"7f000001.addr.consul.example.org.":                 "127.0.0.1",
		"0a0900.addr.dc1.consul.":                           "",
		"0a09000g.addr.dc1.consul.":                         "",
		"0a090001.node.dc1.consul.":                         "",
		"0a090001.":                                         "",
		".":                                                 "",
	}
	for name, want := range cases {
		got := ""
		if a, ok := spelled(name); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A target whose address is spelled out in its name needs no answer, where there
// is none; where there is one, that counts.
func TestD23SpelledTargetInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Options{Servers: []string{one}}, Query{Record: "web.service.consul", Type: TypeSRV})
		address := ""
		s.client.exchange = script(func(_, _ string, q *wire.Msg) *wire.Msg {
			switch {
			case q.Question[0].Qtype == wire.TypeSRV:
				return answer(q, "web.service.consul. 5 IN SRV 1 1 80 0a090001.addr.dc1.consul.", "web.service.consul. 5 IN SRV 1 1 81 n.node.dc1.consul.")
			case address == "":
				return new(wire.Msg).SetRcode(q, wire.RcodeServerFailure)
			case q.Question[0].Qtype == wire.TypeA:
				return answer(q, q.Question[0].Name+" 5 IN A "+address)
			}
			return answer(q)
		}).exchange
		r := next(t, s)
		wantWeak(t, r, "10.9.0.1:80")
		wantPart(t, r, "A of n.node.dc1.consul:81", discovery.Unknown, "SERVFAIL")
		address = "10.0.0.7"
		wantAddrs(t, next(t, s), "10.0.0.7:80", "10.0.0.7:81")
	})
}

func TestServersAreBounded(t *testing.T) {
	var many []string
	for range maxServers + 1 {
		many = append(many, one)
	}
	if _, err := NewClient(Options{Servers: many}); err == nil || !strings.Contains(err.Error(), "16 at most") {
		t.Errorf("got %v", err)
	}
	if _, err := NewClient(Options{Servers: []string{one}, Answers: "some"}); err == nil || !strings.Contains(err.Error(), "want auto, full or partial") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(resolvConf); err == nil {
		if _, err := NewClient(Options{}); err != nil {
			t.Errorf("the machine's own: %v", err)
		}
	}
}
