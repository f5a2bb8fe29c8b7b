package haproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestDynamicServers(t *testing.T) {
	port := haproxytest.FreePort(t)
	stage := []haproxytest.Backend{
		{Name: "web", Slots: 3, Frontend: port},
		{Name: "chk", Slots: 2, Check: "check inter 1h"},
		{Name: "hash", Slots: 2, Balance: "source", Weight: 1},
		{Name: "same", Slots: 2, Balance: "static-rr", Weight: 1},
		{Name: "off", Slots: 2, Disabled: true},
	}
	everywhere(t, stage, func(t *testing.T, on *target) {
		for _, step := range []struct {
			name string
			body func(*testing.T, *target)
		}{
			{"add", addOne},
			{"add twice", addTwice},
			{"add in vain", addInVain},
			{"add with checks", addWithChecks},
			{"found again", foundAgain},
			{"remove", removeIdle},
			{"remove a busy one", func(t *testing.T, on *target) { removeBusy(t, on, port) }},
			{"remove in vain", removeInVain},
			{"try", tryDynamic},
		} {
			t.Run(step.name, func(t *testing.T) { on.relay.Forget(); step.body(t, on) })
		}
	})
}

// own views the slots of a backend, with their sessions.
func (on *target) own(t *testing.T, backend string) (slots.Process, []slots.Server) {
	t.Helper()
	v, err := on.client.View(t.Context(), []string{backend}, true)
	if err != nil {
		t.Fatal(err)
	}
	return v.Process, slots.Own(v.Servers[backend], backend)
}

// want makes of a backend what the targets say, as far as one plan does.
func (on *target) want(t *testing.T, backend string, want ...slots.Target) (slots.Plan, slots.Outcome) {
	t.Helper()
	p, own := on.own(t, backend)
	plan := slots.Diff(backend, backend, own, want)
	return plan, on.apply(t, p, plan.Changes...)
}

func dynamic(slot, at string) slots.Target {
	n, _ := slots.Number(slot, "web")
	return slots.Target{Number: n, Addr: netip.MustParseAddrPort(at), Class: slots.Ready, Dynamic: true}
}

func add(backend, slot, at, options string) slots.Change {
	return slots.Change{Backend: backend, Slot: slot, Kind: slots.Add, Addr: netip.MustParseAddrPort(at), Weight: 100,
		Class: slots.Ready, SetClass: true, Options: options}
}

func addOne(t *testing.T, on *target) {
	_, out := on.want(t, "web", dynamic("web4", "127.9.0.4:80"), dynamic("web5", "[fd00::5]:81"))
	if len(out.Refusals) != 0 {
		t.Fatal(out.Refusals)
	}
	for name, at := range map[string]string{"web4": "127.9.0.4:80", "web5": "[fd00::5]:81"} {
		want := slots.Server{Name: name, Addr: netip.MustParseAddrPort(at), Class: slots.Ready, Weight: 100, Initial: 100, Sessions: -1, Up: true}
		if d := cmp.Diff(want, find(t, out.View, "web", name), byAddr, cmpopts.IgnoreFields(slots.Server{}, "Since")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if !slices.Contains(out.Commands, slots.Count{Command: "add", Result: "ok", N: 2}) {
		t.Errorf("got %+v", out.Commands)
	}
}

func addTwice(t *testing.T, on *target) {
	p, _ := on.own(t, "web")
	out := on.apply(t, p, add("web", "web4", "127.9.0.4:80", ""))
	if len(out.Refusals) != 0 {
		t.Errorf("what is there already: %v", out.Refusals)
	}
	out = on.apply(t, p, add("web", "web4", "127.9.0.44:80", ""))
	if d := cmp.Diff([]string{"web4 other"}, causes(out)); d != "" || !strings.HasPrefix(out.Refusals[0].Reply, "Already exists") {
		t.Errorf("%s%v", d, out.Refusals)
	}
	if got := find(t, out.View, "web", "web4"); got.Addr != addr("127.9.0.4:80") || got.Class != slots.Ready {
		t.Errorf("got %+v", got)
	}
}

func addInVain(t *testing.T, on *target) {
	p, _ := on.own(t, "web")
	slot := func(name string) slots.Server { return slots.Server{Name: name, Addr: addr("127.0.0.1:1")} }
	out := on.apply(t, p,
		add("hash", "hash3", "127.9.0.4:80", ""),
		add("same", "same3", "127.9.0.4:80", ""),
		add("web", "web6", "127.9.0.6:80", "nope"),
		add("gone", "gone1", "127.9.0.6:80", ""),
		fill("web", slot("web1"), addr("127.9.0.1:80")),
		add("web", "web7", "127.9.0.7:80", "check;shutdown"),
		add("web", "web8", "127.9.0.8:80", "disabled"),
		slots.Change{Backend: "web", Slot: "web9", Kind: slots.Add},
		add("web", "web10", "0.0.0.0:80", ""),
	)
	want := []string{"hash3 no_dynamic", "same3 no_dynamic", "web6 other", "gone1 no_backend", "web7 other", "web8 other", "web9 other", "web10 other"}
	if d := cmp.Diff(want, causes(out)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	wantSent(t, out, out.Refusals[2], "add server web/web6 127.9.0.6:80 weight 100 nope", "unknown keyword 'nope'")
	for name := range served(out.View.Servers["web"]) {
		if !slices.Contains([]string{"web1", "web4", "web5"}, name) {
			t.Errorf("%s is ready", name)
		}
	}
	if len(out.View.Servers["hash"]) != 2 || len(out.View.Servers["web"]) != 5 {
		t.Errorf("got %v", out.View.Servers)
	}
}

func addWithChecks(t *testing.T, on *target) {
	origin := listen(t)
	p, _ := on.own(t, "chk")
	out := on.apply(t, p, add("chk", "chk3", origin.Addr().String(), "check inter 1h fall 2 agent-check agent-port 9 agent-inter 1h"))
	s := find(t, out.View, "chk", "chk3")
	if len(out.Refusals) != 0 || !s.Checked || s.Class != slots.Ready || !s.Up {
		t.Errorf("got %+v, %v", s, out.Refusals)
	}
	if !slices.Contains(out.Commands, slots.Count{Command: "add", Result: "ok", N: 3}) {
		t.Errorf("got %+v", out.Commands)
	}
}

func foundAgain(t *testing.T, on *target) {
	v, err := client(t, on.socket).View(t.Context(), []string{"web"}, true)
	if err != nil {
		t.Fatal(err)
	}
	own := slots.Own(v.Servers["web"], "web")
	var added []string
	for _, s := range own {
		if s.Dynamic {
			added = append(added, s.Name)
		}
	}
	if d := cmp.Diff([]string{"web4", "web5"}, added); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want := []slots.Target{dynamic("web4", "127.9.0.4:80"), dynamic("web5", "[fd00::5]:81")}
	if plan := slots.Diff("web", "web", own, want); len(plan.Changes)+len(plan.Waiting) > 0 {
		t.Errorf("something is to be done: %+v", plan)
	}
}

func removeIdle(t *testing.T, on *target) {
	free := slots.Target{Number: 5, Dynamic: true}
	plan, out := on.want(t, "web", free)
	if len(plan.Changes) != 1 || plan.Changes[0].Kind != slots.Empty || len(out.Refusals) != 0 {
		t.Fatalf("got %+v, %v", plan, out.Refusals)
	}
	plan, out = on.want(t, "web", free)
	if len(plan.Changes) != 1 || plan.Changes[0].Kind != slots.Remove || len(out.Refusals) != 0 {
		t.Fatalf("got %+v, %v", plan, out.Refusals)
	}
	if !slices.Contains(out.Commands, slots.Count{Command: "del", Result: "ok", N: 1}) || len(out.View.Servers["web"]) != 4 {
		t.Errorf("got %+v, %v", out.Commands, out.View.Servers)
	}
	p, _ := on.own(t, "web")
	out = on.apply(t, p, plan.Changes...)
	if len(out.Refusals) != 0 || !slices.Contains(out.Commands, slots.Count{Command: "del", Result: "unchanged", N: 1}) {
		t.Errorf("again: got %+v", out)
	}
}

func removeBusy(t *testing.T, on *target, port int) {
	origin := listen(t)
	on.want(t, "web", slots.Target{Number: 1}, slots.Target{Number: 4, Dynamic: true}, dynamic("web5", origin.Addr().String()))
	end := on.occupy(t, port, origin)
	defer end()
	free := slots.Target{Number: 5, Dynamic: true}
	plan, _ := on.want(t, "web", free)
	if got := plan.Waiting; len(got) != 1 || got[0].Kind != slots.Remove {
		t.Fatalf("got %+v", plan)
	}
	plan, _ = on.want(t, "web", free)
	if len(plan.Changes) != 0 || len(plan.Waiting) != 1 || plan.Waiting[0].From.Sessions != 1 {
		t.Fatalf("a server with sessions is to be removed: %+v", plan)
	}
	// sessions may come between the look and the deletion
	p, _ := on.own(t, "web")
	state := plan.Waiting[0]
	last := fill("web", slots.Server{Name: "web1", Addr: addr("127.9.0.1:80")}, addr("127.9.0.1:80"))
	out := on.apply(t, p, state, last)
	if d := cmp.Diff([]string{"web5 busy"}, causes(out)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	end()
	on.until(t, func(own []slots.Server) bool { return sessions(own, "web5") == 0 })
	if _, out = on.want(t, "web", free); len(out.Refusals) != 0 || sessions(slots.Own(out.View.Servers["web"], "web"), "web5") != -2 {
		t.Errorf("got %+v", out)
	}
}

// sessions returns those of a server, -2 if it is not there.
func sessions(own []slots.Server, name string) int {
	for _, s := range own {
		if s.Name == name {
			return s.Sessions
		}
	}
	return -2
}

// until looks at web until it is as it should be.
func (on *target) until(t *testing.T, done func([]slots.Server) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		if _, own := on.own(t, "web"); done(own) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come about")
		}
	}
}

// occupy holds a session at web5 until end is called.
func (on *target) occupy(t *testing.T, port int, origin net.Listener) (end func()) {
	t.Helper()
	if f, ok := on.hap.(fake); ok {
		f.SetSessions("web", "web5", 1)
		return func() { f.SetSessions("web", "web5", 0) }
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	held, err := origin.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		held.Close()
		conn.Close()
	}
}

// listen returns what takes connections and says nothing.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func removeInVain(t *testing.T, on *target) {
	on.want(t, "web", dynamic("web4", "127.9.0.4:80"))
	on.relay.Forget()
	p, own := on.own(t, "web")
	var changes []slots.Change
	for _, s := range own {
		changes = append(changes, slots.Change{Backend: "web", Slot: s.Name, Kind: slots.Remove, From: s})
	}
	forged := changes[1]
	forged.Slot, forged.From.Dynamic = "web2", true
	changes[1] = forged
	out := on.apply(t, p, changes...)
	if d := cmp.Diff([]string{"web1 other", "web2 other", "web3 other", "web4 other"}, causes(out)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, said := range on.relay.Transcript() {
		if strings.Contains(said, "del ") {
			t.Errorf("sent %q", said)
		}
	}
	if _, own := on.own(t, "web"); len(own) != 4 {
		t.Errorf("%d servers are left", len(own))
	}
	// who sets it ready meanwhile is obeyed
	s := own[3]
	s.Class = slots.Maint
	out = on.apply(t, p, slots.Change{Backend: "web", Slot: "web4", Kind: slots.Remove, From: s})
	if d := cmp.Diff([]string{"web4 other"}, causes(out)); d != "" || find(t, out.View, "web", "web4").Class != slots.Ready {
		t.Errorf("%s%+v", d, out)
	}
}

func tryDynamic(t *testing.T, on *target) {
	before := on.view(t, "web", "chk", "hash")
	static := "Backend must use a dynamic load balancing to support dynamic servers."
	if on.version == "3.4" {
		static = "uses a non dynamic load balancing method"
	}
	for _, k := range []struct{ backend, options, says string }{
		{"web", "", ""},
		{"web", "check inter 1h maxconn 10", ""},
		{"chk", "backup", ""},
		{"web", "nope", "unknown keyword 'nope'"},
		{"hash", "", static},
		{"same", "", static},
		{"gone", "", "No such backend."},
		{"web", "resolvers dns", "not resolved"},
		{"web", "a\nb", "only letters"},
		{"we b", "", "only letters"},
	} {
		err := on.client.TryDynamic(t.Context(), k.backend, "web", k.options)
		if k.says == "" && err != nil || k.says != "" && (err == nil || !strings.Contains(err.Error(), k.says)) {
			t.Errorf("%s %q: got %v; want %q", k.backend, k.options, err, k.says)
		}
	}
	after := on.view(t, "web", "chk", "hash")
	if d := cmp.Diff(before.Servers, after.Servers, byAddr, cmpopts.IgnoreFields(slots.Server{}, "Since")); d != "" {
		t.Errorf("something is left of it:\n%s", d)
	}
}

// What another try has left does no harm.
func TestTryDynamicBesideOthers(t *testing.T) {
	f, on := made(t, "3.2")
	p, _ := on.own(t, "web")
	on.apply(t, p, add("web", "web00", "127.0.0.1:1", ""))
	if err := on.client.TryDynamic(t.Context(), "web", "web", ""); err != nil {
		t.Error(err)
	}
	on.apply(t, p, add("web", "web000", "127.0.0.1:1", ""), add("web", "web0000", "127.0.0.1:1", ""))
	if err := on.client.TryDynamic(t.Context(), "web", "web", ""); err == nil || !strings.Contains(err.Error(), "web000") {
		t.Errorf("got %v", err)
	}
	f.SetLevel("operator")
	if err := on.client.TryDynamic(t.Context(), "web", "web", ""); err == nil || err.Error() != "Permission denied" {
		t.Errorf("got %v", err)
	}
}

func TestAddingTakesLevelAdmin(t *testing.T) {
	f, on := made(t, "3.0")
	p, _ := on.own(t, "web")
	f.SetLevel("operator")
	out, err := client(t, f.Socket).Apply(t.Context(), p, []slots.Change{add("web", "web99", "127.9.0.1:80", "")})
	wantFault(t, err, slots.Denied, false)
	if d := cmp.Diff([]string{"web99 level"}, causes(out)); d != "" {
		t.Error(d)
	}
}

func TestCheckOptions(t *testing.T) {
	for _, good := range []string{"", "check inter 1s", "  check   port 8080 ", "ssl verify none alpn h2,http/1.1",
		"ssl verify required ca-file @system-ca sni str(web.example.org) check-sni web.example.org", "sni req.hdr(host),field(1,:)",
		"ciphers ECDHE+AES:!aNULL", "set-proxy-v2-tlv-fmt(0x20) %[fc_pp_tlv(0x20)]", strings.TrimSpace(strings.Repeat("backup ", 58))} {
		if err := haproxy.CheckOptions(good); err != nil {
			t.Errorf("%.40q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"check;show info", "check\nshow info", "check\tport", "a\\ b", "a\x00", "\"a\"", "a'b", "check<<", "a#b", "prüfen", "sni str(a;b)", "sni str(a\\;b)", "a<b",
		"$HOME", "a`b`", "a|b", "a&b", "{a}", "sni str('a')", "sni str(a\r)",
		"resolvers dns", "init-addr none", "enabled", "check disabled", "id 7", "weight 5",
		strings.Repeat("backup ", 59), strings.Repeat("x", 4097),
	} {
		if err := haproxy.CheckOptions(bad); err == nil {
			t.Errorf("%.40q is taken", bad)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("got %q", err)
		}
	}
}

func TestStateFileIsOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	c, err := haproxy.New(haproxy.Options{Socket: "/x", StateFile: dir + "/{backend}"})
	if err != nil {
		t.Fatal(err)
	}
	servers := []slots.Server{
		{Name: "web1", Addr: addr("127.9.0.1:80"), Disabled: true}, {Name: "web2", Addr: addr("127.9.0.2:80"), Dynamic: true},
	}
	if err := c.Save("web", servers); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dir + "/web")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(got); !strings.Contains(got, " web1 ") || strings.Contains(got, " web2 ") {
		t.Errorf("got %s", got)
	}
}

// An old worker adds and deletes servers like any other, which helps nobody.
func TestAddingDuringAReload(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			f, on := made(t, version)
			p, _ := on.own(t, "web")
			f.Reload()
			_, err := on.client.Apply(t.Context(), p, []slots.Change{add("web", "web99", "127.9.0.1:80", "")})
			if fault, _ := slots.FaultOf(err); fault != slots.Restarted {
				t.Errorf("got %v", err)
			}
			if _, own := on.own(t, "web"); sessions(own, "web99") != -2 {
				t.Errorf("got %v", own)
			}
		})
	}
}
