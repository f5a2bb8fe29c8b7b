package doctor

import (
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestJudgeVersion(t *testing.T) {
	for _, tt := range []struct {
		version string
		want    []string // verdict and a part of the text
	}{
		{"2.6.12-1+deb12u4", []string{"ok supported", "warn pooled connections"}},
		{"2.6.22", []string{"ok supported"}},
		{"2.8.15-abc", []string{"ok supported"}},
		{"2.9.9", []string{"ok supported", "warn pooled connections", "warn loses address changes"}},
		{"3.0.0", []string{"ok supported", "warn pooled connections", "warn loses address changes", "warn leaks connections"}},
		{"3.0.3", []string{"ok supported", "warn pooled connections", "warn loses address changes", "warn leaks connections"}},
		{"3.0.4", []string{"ok supported", "warn pooled connections", "warn leaks connections"}},
		{"3.0.11-1+deb13u1", []string{"ok supported"}},
		{"3.1.0", []string{"ok supported", "warn pooled connections", "warn wrong exit code"}},
		{"3.2.0", []string{"ok supported", "warn stalls"}},
		{"3.2.26-1", []string{"ok supported"}},
		{"3.4.7-1", []string{"ok supported", "warn check each file before", "warn added to a backend that is `disabled`"}},
		{"3.5-dev5", []string{"ok supported"}},
		{"2.5.3", []string{"warn not tested", "warn pooled connections"}},
		{"2.4.0", []string{"warn not tested", "warn pooled connections"}},
		{"2.2.9", []string{"fail not supported"}},
		{"4.0.0", []string{"warn newer"}},
		{"", []string{"warn not understood"}},
		{"a.b", []string{"warn not understood"}},
		{"2.-6", []string{"warn not understood"}},
	} {
		t.Run(tt.version, func(t *testing.T) { expect(t, judgeVersion("x", tt.version), tt.want) })
	}
}

func TestJudgeBackend(t *testing.T) {
	slot := slots.Server{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Initial: 100, Weight: 100, Disabled: true, FQDN: "slot.invalid"}
	with := func(change func(*slots.Server), names ...string) map[string][]slots.Server {
		var list []slots.Server
		for _, name := range names {
			s := slot
			s.Name = name
			change(&s)
			list = append(list, s)
		}
		return map[string][]slots.Server{"web": list}
	}
	same := func(*slots.Server) {}
	in := config.Instance{Name: "edge", StateFile: "/s/{backend}"}
	web := config.Backend{Name: "w", Proxy: "web"}
	for _, tt := range []struct {
		name    string
		in      config.Instance
		backend config.Backend
		servers map[string][]slots.Server
		want    []string
	}{
		{"recommended", in, web, with(same, "s1", "s2"), []string{"ok 2 slots s1 to s2, 0 of them ready", "ok recommended form"}},
		{"no backend", in, web, nil, []string{"fail no backend of this name"}},
		{"two prefixes", in, web, with(same, "a1", "b1"), []string{"fail candidates are a, b"}},
		{"wrong prefix", in, config.Backend{Proxy: "web", Prefix: "x"}, with(same, "a1"), []string{"fail candidates are a"}},
		{"no template", in, web, with(same, "static"), []string{"fail add a server-template"}},
		{"numeric", in, web, with(func(s *slots.Server) { s.FQDN = "" }, "s1"), []string{"ok 1 slot", "warn numeric address"}},
		{"no address", in, web, with(func(s *slots.Server) { s.NoAddress, s.Addr = true, netip.AddrPort{} }, "s1"), []string{"ok 1 slot", "fail init-addr none"}},
		{"port 0", in, web, with(func(s *slots.Server) { s.Addr = netip.MustParseAddrPort("127.0.0.1:0") }, "s1"), []string{"ok 1 slot", "warn write :1"}},
		{"weight 1", in, web, with(func(s *slots.Server) { s.Initial = 1 }, "s1"), []string{"ok 1 slot", "warn write `weight 100`"}},
		{"enabled", in, config.Backend{Proxy: "web", Prefix: "s"}, with(func(s *slots.Server) { s.Disabled, s.Class = false, slots.Ready }, "s1"),
			[]string{"ok 1 of them ready", "warn not `disabled`"}},
		{"a disabled backend", in, web, with(func(s *slots.Server) { s.Off, s.Addr = true, netip.AddrPort{} }, "s1"), []string{"ok 1 slot", "fail remove `disabled` from the backend"}},
		{"a gap", in, web, with(same, "s5", "s6", "s8"), []string{"ok 3 slots s5 to s8", "ok recommended form", "warn cannot be grown in their place: there is no s7 between s6 and s8"}},
		{"suggests its own keywords", in, web, with(func(s *slots.Server) { s.FQDN, s.Checked, s.TLS = "", true, true }, "s5"),
			[]string{"ok 1 slot", "warn server-template s 5-5 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 check ssl"}},
		{"added in clear text", in, config.Backend{Proxy: "web", Dynamic: true, DynamicOptions: "inter 1s"},
			with(func(s *slots.Server) { s.TLS, s.Checked = true, true }, "s1", "s2"),
			[]string{"ok 2 slots", "ok recommended form", `fail as in "inter 1s ssl"`, `fail whether they work or not`}},
		{"added with TLS alone", in, config.Backend{Proxy: "web", Dynamic: true, DynamicOptions: "ssl verify none"}, with(same, "s1"),
			[]string{"ok 1 slot", "ok recommended form", "warn servers that are added have `ssl`"}},
		{"no state file", config.Instance{Name: "edge"}, web, with(same, "s1"), []string{"ok 1 slot", "warn without state_file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			judged, _ := judgeBackend(tt.in, tt.backend, slots.View{Servers: tt.servers})
			expect(t, judged.list, tt.want)
		})
	}
}

func TestJudgeReading(t *testing.T) {
	ready := discovery.Endpoint{Addr: netip.MustParseAddrPort("10.0.0.1:80")}
	for _, tt := range []struct {
		name    string
		reading discovery.Reading
		want    []string
	}{
		{"some", discovery.Reading{Parts: []discovery.Part{{Endpoints: []discovery.Endpoint{ready}}}, Note: "index 4"}, []string{"ok 1 endpoint: 1 ready, 0 draining, 0 down (index 4)"}},
		{"none", discovery.Reading{}, []string{"warn knows no endpoint"}},
		{"a part that is not known", discovery.Reading{Parts: []discovery.Part{{Name: "A of web", Endpoints: []discovery.Endpoint{ready}},
			{Name: "AAAA of web", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "SERVFAIL")}}},
			[]string{"warn 1 endpoint: 1 ready, 0 draining, 0 down; what the parts below", "warn not whole: AAAA of web: server: SERVFAIL"}},
		{"a family that is not there", discovery.Reading{Parts: []discovery.Part{{Name: "A of web", Endpoints: []discovery.Endpoint{ready}},
			{Name: "AAAA of web", State: discovery.Partial, Why: discovery.NoneYet + "NODATA"}}},
			[]string{"ok 1 endpoint: 1 ready, 0 draining, 0 down; the answer is whole"}},
		{"none yet", discovery.Reading{Parts: []discovery.Part{{Name: "A of web", State: discovery.Partial, Why: discovery.NoneYet + "NODATA"}}},
			[]string{"warn knows no endpoint: is the name right"}},
		{"many parts", discovery.Reading{Parts: slices.Repeat([]discovery.Part{{Name: "x", State: discovery.Partial, Why: "cut"}}, 12)},
			slices.Concat([]string{"warn 0 endpoints"}, slices.Repeat([]string{"warn not whole: x: cut"}, 10), []string{"warn 2 more parts"})},
		{"rejected", discovery.Reading{Parts: []discovery.Part{{Endpoints: []discovery.Endpoint{ready}}}, Rejected: slices.Repeat([]discovery.Rejection{{Reason: "bad_port", Name: "a", Value: "0"}}, 7)},
			[]string{"ok 1 endpoint", "warn a 0 (bad port)", "warn a 0", "warn a 0", "warn a 0", "warn a 0", "warn 2 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := findings{subject: "x"}
			f.judgeReading(tt.reading)
			expect(t, f.list, tt.want)
		})
	}
}

// expect compares findings with a verdict and a part of the text each.
func expect(t *testing.T, got []api.Finding, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		verdict, part, _ := strings.Cut(want[i], " ")
		ok = got[i].Verdict == verdict && strings.Contains(got[i].Text, part)
	}
	if !ok {
		t.Errorf("got  %+v\nwant %q", got, want)
	}
}

func TestUnreadableStateFile(t *testing.T) {
	file := t.TempDir() + "/web"
	if got := unreadable(file, 12345); got != "" {
		t.Errorf("not written yet: %q", got)
	}
	write(t, file, 0o600)
	if got := unreadable(file, 12345); !strings.HasSuffix(got, "web is -rw-------") {
		t.Errorf("private: %q", got)
	}
	write(t, file, 0o644)
	if got := unreadable(file, 12345); got != "" {
		t.Errorf("open: %q", got)
	}
}

func TestJudgeSlots(t *testing.T) {
	backends := []config.Backend{{Name: "web"}, {Name: "api"}}
	at := func(name string, web, api int) findings {
		return findings{subject: "instance " + name, slots: map[string]int{"web": web, "api": api}}
	}
	same := []findings{at("edge-1", 10, 8), at("edge-2", 10, 0), {subject: "instance edge-3"}}
	if got := judgeSlots(backends, same); len(got) > 0 {
		t.Errorf("the same everywhere: %v", got)
	}
	want := "10 slots at edge-1, and fewer at edge-2 (3), edge-3 (9): an endpoint takes no traffic where its slot is lacking: write the same number everywhere"
	got := judgeSlots(backends, []findings{at("edge-1", 10, 8), at("edge-2", 3, 8), at("edge-3", 9, 8)})
	if len(got) != 1 || got[0] != (api.Finding{Verdict: api.VerdictWarn, Subject: "backend web", Text: want}) {
		t.Errorf("got %v", got)
	}
}

func write(t *testing.T, file string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}
