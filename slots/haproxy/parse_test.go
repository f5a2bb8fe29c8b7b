package haproxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/slots"
)

const header20 = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change " +
	"srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord"
const header25 = header20 + " srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"

func parseAll(text string) ([]slots.Server, error) {
	var list []slots.Server
	err := parseState(text, func(_ string, _ int, s slots.Server) error { list = append(list, s); return nil })
	return list, err
}

func TestParseState(t *testing.T) {
	base := slots.Server{Name: "web1", Addr: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 5, Initial: 100, Since: 7 * time.Second,
		Sessions: -1, FQDN: "slot.invalid"}
	with := func(do func(*slots.Server)) slots.Server { s := base; do(&s); return s }
	for _, c := range []struct {
		name, line string
		want       slots.Server
	}{
		{"parked", "2 web 1 web1 10.0.0.1 0 5 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Disabled = true })},
		{"ready, disabled", "2 web 1 web1 10.0.0.1 2 4 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Class, s.Disabled, s.Up = slots.Ready, true, true })},
		{"ready", "2 web 1 web1 10.0.0.1 2 0 5 100 7 1 0 2 0 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Class, s.Up = slots.Ready, true })},
		{"drain", "2 web 1 web1 10.0.0.1 2 12 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Class, s.Disabled, s.Up = slots.Drain, true, true })},
		{"drain of a tracked one", "2 web 1 web1 10.0.0.1 2 16 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Class, s.Up = slots.Drain, true })},
		{"maint of a tracked one", "2 web 1 web1 10.0.0.1 0 2 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", base},
		{"both", "2 web 1 web1 10.0.0.1 0 9 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", base},
		{"resolver's", "2 web 1 web1 - 0 32 5 100 7 1 0 0 0 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Addr, s.NoAddress = netip.AddrPort{}, true })},
		{"checked", "2 web 1 web1 10.0.0.1 0 1 5 100 7 1 0 0 14 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Checked = true })},
		{"checks disabled", "2 web 1 web1 10.0.0.1 0 1 5 100 7 1 0 0 10 0 0 0 slot.invalid 80 - 0 0 - - 0", base},
		{"no host name", "2 web 1 web1 10.0.0.1 0 1 5 100 7 1 0 0 8 0 0 0 - 80 - 0 0 - - 0", with(func(s *slots.Server) { s.FQDN = "" })},
		{"IPv4 in IPv6", "2 web 1 web1 ::ffff:10.0.0.1 0 1 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", base},
		{"a disabled backend", "2 web 0 web1 - 0 5 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Addr, s.Disabled, s.Off = netip.AddrPort{}, true, true })},
		{"a clock that went back", "2 web 1 web1 10.0.0.1 0 1 5 100 -3 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0", with(func(s *slots.Server) { s.Since = 0 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseAll(header25 + c.line + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]slots.Server{c.want}, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			short := strings.Join(strings.Fields(c.line)[:20], " ")
			if old, err := parseAll(header20 + "\n" + short); err != nil || !cmp.Equal(got, old, cmpopts.EquateComparable(netip.AddrPort{})) {
				t.Errorf("with 20 columns: %+v, %v", old, err)
			}
		})
	}
}

func TestParseStateByName(t *testing.T) {
	const text = "1\n# srv_port srv_id srv_name new be_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_state srv_fqdn\n" +
		"80 1 web1 ? web 10.0.0.1 2 4 1 1 0 0 -\n"
	got, err := parseAll(text)
	if err != nil || len(got) != 1 || got[0].Addr != netip.MustParseAddrPort("10.0.0.1:80") || got[0].Class != slots.Ready {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What has a name that no command can hold is left out; the others are read.
func TestParseStateLeavesLongNamesOut(t *testing.T) {
	long := strings.Repeat("x", slots.MaxName+1)
	line := func(backend, server string) string {
		return "2 " + backend + " 1 " + server + " 10.0.0.1 0 5 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 1 0 - - 0\n"
	}
	got, err := parseAll(header25 + line("web", long) + line("web", "web1") + line(long, "web2") + line("web", long[1:]))
	if err != nil || len(got) != 2 || got[0].Name != "web1" || !got[0].TLS || got[1].Name != long[1:] {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseStateNamesTheLine(t *testing.T) {
	good := "2 web 1 web1 10.0.0.1 0 5 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0\n"
	for _, c := range []struct{ name, text, want string }{
		{"version", "2\n", "line 1: "},
		{"html", "<html>", "line 1: "},
		{"no header", "1\nweb\n", "line 2: "},
		{"a column less", "1\n# be_name srv_name\n", "line 2: no column srv_addr"},
		{"fields", header25 + good + "2 web 1\n", "line 4: 3 fields; "},
		{"name", header25 + strings.Replace(good, "web1", "a;b", 1), "line 3: srv_name: "},
		{"address", header25 + strings.Replace(good, "10.0.0.1", "10.0.0.999", 1), "line 3: srv_addr: "},
		{"zone", header25 + strings.Replace(good, "10.0.0.1", "fe80::1%x", 1), "line 3: srv_addr: "},
		{"port", header25 + strings.Replace(good, " 80 ", " 65536 ", 1), "line 3: srv_port: "},
		{"admin", header25 + strings.Replace(good, " 0 5 5 ", " 0 x 5 ", 1), "line 3: srv_admin_state: "},
		{"weight", header25 + strings.Replace(good, " 5 100 ", " 257 100 ", 1), "line 3: srv_uweight: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parseAll(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %q in it", err, c.want)
			}
		})
	}
}

func TestParseInfo(t *testing.T) {
	const good = "Name: HAProxy\nVersion: 2.6.12-1+deb12u3\nPid: 42\nUptime: 0d\nnode: edge\nStopping: 1\nStart_time_sec: 1700000000\ndescription: \n"
	want := slots.Process{Version: "2.6.12-1+deb12u3", Pid: 42, Started: 1700000000, Node: "edge", Stopping: true}
	if got, err := parseInfo(good); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "HTTP/1.1 400", "Name: HAProxy\n", strings.Replace(good, "42", "-1", 1), strings.Replace(good, "42", "x", 1),
		strings.Replace(good, "1700000000", "99999999999999999999", 1)} {
		if got, err := parseInfo(bad); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
}

func TestQueues(t *testing.T) {
	for version, want := range map[string]bool{"2.6.12-1+deb12u3": false, "2.8.0": false, "2.9-dev12": true, "2.9.1": true, "3.0.11": true,
		"2.8-dev1": false, "10.0": true, "": true, "x": true, "2": true} {
		if got := queues(version); got != want {
			t.Errorf("%q: got %v", version, got)
		}
	}
}

func TestParseSessions(t *testing.T) {
	const text = "# pxname,svname,qcur,scur,stot,check_desc,\nweb,web1,0,3,9,\"a,b\",\nweb,web2,0,0,0,\"x\",\nweb,web3,0,0,20,,\n"
	got, ever := map[string]int{}, map[string]bool{}
	err := parseSessions(text, func(b, s string, n int, served bool) { got[b+"/"+s], ever[b+"/"+s] = n, served })
	if d := cmp.Diff(map[string]int{"web/web1": 3, "web/web2": 0, "web/web3": 0}, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if d := cmp.Diff(map[string]bool{"web/web1": true, "web/web2": false, "web/web3": true}, ever); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1"},
		{"no columns", "# a,b\n", "line 1"},
		{"short", "# pxname,svname,scur\nweb,web1,1\nweb\n", "line 3"},
		{"no number", "# pxname,svname,scur\nweb,web1,x\n", "line 2"},
		{"negative", "# pxname,svname,scur\nweb,web1,-1\n", "line 2"},
	} {
		if err := parseSessions(c.text, func(string, string, int, bool) {}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add(header25 + "2 web 1 web1 10.0.0.1 0 5 5 100 7 1 0 0 8 0 0 0 slot.invalid 80 - 0 0 - - 0\n")
	f.Add(header20 + "\n2 web 1 web1 - 0 32 5 100 7 1 0 0 8 0 0 0 - 80 -")
	f.Add("1\n# \n\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseAll(text)
		for _, s := range list {
			if slots.CheckName(s.Name) != nil || s.Weight < 0 || s.Weight > 256 || s.Since < 0 || s.Addr.Addr().Zone() != "" || s.Class > slots.Ready {
				t.Errorf("got %+v", s)
			}
		}
		if err != nil && !strings.Contains(err.Error(), ": line ") {
			t.Errorf("no line in %v", err)
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	f.Add("Name: HAProxy\nVersion: 2.6.12\nPid: 42\nStart_time_sec: 1\nnode: a\nStopping: 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseInfo(text); err == nil && (p.Pid <= 0 || strings.ContainsAny(p.Version+p.Node, "\n\r\x1b")) {
			t.Errorf("got %+v", p)
		}
	})
}

func FuzzParseSessions(f *testing.F) {
	f.Add("# pxname,svname,scur,\nweb,web1,3,\n")
	f.Add("# pxname,svname,scur\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		parseSessions(text, func(_, _ string, n int, _ bool) {
			if n < 0 {
				t.Errorf("%d sessions", n)
			}
		})
	})
}
