package haproxy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// stage has every kind of backend that makes a difference.
var stage = []haproxytest.Backend{
	{Name: "web", Slots: 20},
	{Name: "big", Slots: 600},
	{Name: "chk", Slots: 2, Check: "check inter 1h"},
	{Name: "hash", Slots: 2, Balance: "source", Weight: 1},
	{Name: "none", Slots: 2, NoAddress: true, Enabled: true},
	{Name: "off", Slots: 2, Disabled: true},
}

var byAddr = cmpopts.EquateComparable(netip.AddrPort{})

func TestClient(t *testing.T) {
	everywhere(t, stage, func(t *testing.T, on *target) {
		for _, step := range []struct {
			name string
			body func(*testing.T, *target)
		}{
			{"view", viewShowsAll},
			{"level", levelIsAdmin},
			{"fill one", fillOne},
			{"fill again", fillAgainChangesNothing},
			{"refill", refill},
			{"without address", changeWithoutAddress},
			{"many", fillMany},
			{"refusals", refusals},
			{"no address", noAddress},
			{"inadmissible", inadmissible},
			{"restart", restart},
			{"hang", hang},
		} {
			t.Run(step.name, func(t *testing.T) { on.relay.Forget(); step.body(t, on) })
		}
	})
}

func viewShowsAll(t *testing.T, on *target) {
	v := on.view(t, "web", "chk", "nope")
	if len(v.Servers["web"]) != 20 || len(v.Servers["chk"]) != 2 || len(v.Servers) != 2 {
		t.Fatalf("got %d backends", len(v.Servers))
	}
	want := slots.Server{Name: "web1", Addr: addr("127.0.0.1:1"), Weight: 100, Initial: 100, Sessions: -1, Disabled: true, FQDN: "slot.invalid"}
	if d := cmp.Diff(want, v.Servers["web"][0], byAddr, cmpopts.IgnoreFields(slots.Server{}, "Since")); d != "" {
		t.Errorf("web1 (-want +got):\n%s", d)
	}
	if !v.Servers["chk"][0].Checked || v.Process.Pid == 0 || v.Process.Node != "test" || v.Process.Started == 0 {
		t.Errorf("got %+v of %+v", v.Servers["chk"][0], v.Process)
	}
	all, err := on.client.View(t.Context(), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Servers) != len(stage) || !all.Process.Same(v.Process) {
		t.Errorf("got %d backends of %+v", len(all.Servers), all.Process)
	}
	for _, b := range []string{"web", "big", "chk", "none"} {
		for _, s := range all.Servers[b] {
			if s.Sessions != 0 {
				t.Fatalf("%s/%s: %d sessions", b, s.Name, s.Sessions)
			}
		}
	}
	if !haproxytest.Reads(on.relay.Transcript()) {
		t.Errorf("a view writes: %q", on.relay.Transcript())
	}
}

func levelIsAdmin(t *testing.T, on *target) {
	if level, err := on.client.Level(t.Context()); level != "admin" || err != nil {
		t.Errorf("got %q, %v", level, err)
	}
}

func fillOne(t *testing.T, on *target) {
	v := on.view(t, "web")
	on.relay.Forget()
	out := on.apply(t, v.Process, fill("web", v.Servers["web"][0], addr("127.9.0.1:8080")))
	if len(out.Refusals) != 0 {
		t.Fatal(out.Refusals)
	}
	if d := cmp.Diff(map[string]string{"web1": "127.9.0.1:8080"}, served(out.View.Servers["web"])); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(out.View.Servers["web"], on.view(t, "web").Servers["web"], byAddr,
		cmpopts.IgnoreFields(slots.Server{}, "Since")); d != "" {
		t.Errorf("read back differently (-outcome +view):\n%s", d)
	}
	want := []slots.Count{{Command: "addr", Result: "ok", N: 1}, {Command: "weight", Result: "ok", N: 1}, {Command: "state", Result: "ok", N: 1}}
	if d := cmp.Diff(want, out.Commands[:3]); d != "" {
		t.Error(d)
	}
	// one more than on 2.6 for the read-back, and two if the address came late
	if n := len(on.relay.Transcript()); on.version == "2.6" && n > 5 {
		t.Errorf("%d connections: %q", n, on.relay.Transcript())
	}
}

func fillAgainChangesNothing(t *testing.T, on *target) {
	v := on.view(t, "web")
	s := v.Servers["web"][1]
	on.apply(t, v.Process, slots.Change{Backend: "web", Slot: s.Name, Addr: addr("127.9.0.2:80"), Kind: slots.Park, From: s})
	out := on.apply(t, v.Process, slots.Change{Backend: "web", Slot: s.Name, Addr: addr("127.9.0.2:80"), Kind: slots.Park, From: s})
	if len(out.Refusals) != 0 || out.Commands[0] != (slots.Count{Command: "addr", Result: "unchanged", N: 1}) {
		t.Errorf("got %+v", out)
	}
	if got := find(t, out.View, "web", s.Name); got.Addr != addr("127.9.0.2:80") || got.Class != slots.Maint {
		t.Errorf("got %+v", got)
	}
}

func refill(t *testing.T, on *target) {
	for i, a := range []string{"127.9.0.3:80", "127.9.0.3:81", "[fd00::3]:81", "127.9.0.4:65535"} {
		v := on.view(t, "web")
		s := find(t, v, "web", "web3")
		if i > 0 {
			v.Servers = on.apply(t, v.Process, slots.Change{Backend: "web", Slot: "web3", Kind: slots.Empty, SetClass: true, From: s}).View.Servers
			s = find(t, v, "web", "web3")
		}
		out := on.apply(t, v.Process, fill("web", s, netip.MustParseAddrPort(a)))
		if got := find(t, out.View, "web", "web3"); len(out.Refusals) != 0 || got.Addr.String() != a || got.Class != slots.Ready {
			t.Errorf("%s: got %+v, %v", a, got, out.Refusals)
		}
	}
}

func changeWithoutAddress(t *testing.T, on *target) {
	v := on.view(t, "web")
	on.relay.Forget()
	s := find(t, v, "web", "web1")
	for _, want := range []struct {
		class  slots.Class
		weight int
	}{{slots.Drain, 7}, {slots.Ready, 256}, {slots.Maint, 1}} {
		out := on.apply(t, v.Process, slots.Change{Backend: "web", Slot: "web1", Weight: want.weight, Class: want.class, SetClass: true, From: s})
		s = find(t, out.View, "web", "web1")
		if len(out.Refusals) != 0 || s.Class != want.class || s.Weight != want.weight {
			t.Errorf("got %+v, %v", s, out.Refusals)
		}
	}
	on.relay.Forget()
	if _, err := on.client.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	on.apply(t, v.Process, slots.Change{Backend: "web", Slot: "web1", Weight: 3, From: s})
	if n := len(on.relay.Transcript()); n != 2 {
		t.Errorf("%d connections for a question and one change: %q", n, on.relay.Transcript())
	}
}

func fillMany(t *testing.T, on *target) {
	v := on.view(t, "big", "chk")
	changes := append(fills(v, "big", 600), fills(v, "chk", 2)...)
	out := on.apply(t, v.Process, changes...)
	if len(out.Refusals) != 0 {
		t.Fatal(len(out.Refusals), out.Refusals[0])
	}
	got := on.view(t, "big", "chk")
	for _, ch := range changes {
		if s := find(t, got, ch.Backend, ch.Slot); s.Addr != ch.Addr || s.Class != slots.Ready || !s.Up {
			t.Fatalf("%s: got %+v", ch.Slot, s)
		}
	}
	for _, said := range on.relay.Transcript() {
		for line := range strings.Lines(said) {
			if len(line) > 15_100 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

func refusals(t *testing.T, on *target) {
	v := on.view(t, "web", "hash")
	parked := slots.Server{Name: "x", Addr: addr("127.0.0.1:1")}
	changes := []slots.Change{
		fill("web", slots.Server{Name: "web99"}, addr("127.9.0.1:80")),
		fill("gone", slots.Server{Name: "gone1"}, addr("127.9.0.1:80")),
		fill("off", slots.Server{Name: "off1"}, addr("127.9.0.1:80")),
		{Backend: "hash", Slot: "hash1", Addr: addr("127.9.0.1:80"), Weight: 50, Class: slots.Ready, SetClass: true, From: v.Servers["hash"][0]},
		{Backend: "off", Slot: "off2", Class: slots.Ready, SetClass: true, From: parked},
		fill("web", v.Servers["web"][9], addr("127.9.0.10:80")),
	}
	out := on.apply(t, v.Process, changes...)
	want := []string{"web99 no_server", "gone1 no_backend", "off1 stopped", "hash1 no_weights", "off2 stopped"}
	if d := cmp.Diff(want, causes(out)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"hash1": "127.9.0.1:80"}, served(out.View.Servers["hash"])); d != "" {
		t.Error(d)
	}
	if find(t, out.View, "web", "web10").Class != slots.Ready {
		t.Error("a good change among bad ones was not made")
	}
	wantSent(t, out, out.Refusals[0], "set server web/web99 addr 127.9.0.1 port 80", "No such server.")
}

// wantSent: this was refused for a command, and with that reply.
func wantSent(t *testing.T, out slots.Outcome, r slots.Refusal, command, reply string) {
	t.Helper()
	is := func(e slots.Exchange) bool {
		return e.Slot == r.Change.Slot && e.Command == command && strings.HasPrefix(e.Reply, reply)
	}
	if !strings.HasPrefix(r.Reply, reply) || !slices.ContainsFunc(out.Exchanges, is) {
		t.Errorf("got %+v of %+v", r, out.Exchanges)
	}
}

func noAddress(t *testing.T, on *target) {
	v := on.view(t, "none")
	s := v.Servers["none"][0]
	if s.Addr.IsValid() || !s.NoAddress || s.Class != slots.Maint {
		t.Fatalf("got %+v", s)
	}
	out := on.apply(t, v.Process, fill("none", s, addr("127.9.0.1:80")))
	if d := cmp.Diff([]string{"none1 no_address"}, causes(out)); d != "" {
		t.Error(d)
	}
	if got := find(t, out.View, "none", "none1"); got.Class != slots.Maint || got.Up {
		t.Errorf("ready without an address: %+v", got)
	}
}

func inadmissible(t *testing.T, on *target) {
	v := on.view(t, "web")
	ready := find(t, v, "web", "web10")
	parked := find(t, v, "web", "web11")
	good := fill("web", parked, addr("127.9.0.11:80"))
	evil := func(do func(*slots.Change)) slots.Change {
		ch := good
		ch.Slot = "web12"
		do(&ch)
		return ch
	}
	on.relay.Forget()
	out := on.apply(t, v.Process,
		fill("web", ready, addr("127.9.0.99:80")),
		evil(func(ch *slots.Change) { ch.Slot = "web12 state ready;shutdown" }),
		evil(func(ch *slots.Change) { ch.Backend = "web\nshow" }),
		evil(func(ch *slots.Change) { ch.Addr = addr("127.9.0.1:0") }),
		evil(func(ch *slots.Change) { ch.Addr = addr("[fe80::1%%eth0]:80") }),
		evil(func(ch *slots.Change) { ch.Addr = addr("0.0.0.0:80") }),
		evil(func(ch *slots.Change) { ch.Weight = 257 }),
		evil(func(ch *slots.Change) { ch.Class = 9 }),
		slots.Change{Backend: "web", Slot: "web12", Class: slots.Ready, SetClass: true},
	)
	if len(out.Refusals) != 9 || slices.ContainsFunc(on.relay.Transcript(), func(line string) bool { return strings.Contains(line, "set ") }) {
		t.Errorf("got %q; sent %q", causes(out), on.relay.Transcript())
	}
	second := good
	second.Addr = addr("127.9.0.12:80")
	out = on.apply(t, v.Process, good, second)
	if d := cmp.Diff([]string{"web11 other"}, causes(out)); d != "" {
		t.Error(d)
	}
	if got := find(t, out.View, "web", "web11"); got.Addr != good.Addr {
		t.Errorf("got %+v", got)
	}
}

func restart(t *testing.T, on *target) {
	v := on.view(t, "web")
	on.Restart()
	on.relay.Forget()
	// the process that was seen may still be vouched for: then one line goes out
	if _, err := on.client.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 20)[12:])
	wantFault(t, err, slots.Restarted, false)
	if n := writes(on.relay.Transcript()); n != 0 {
		t.Errorf("%d commands went to another process", n)
	}
	got := on.view(t, "web")
	if got.Process.Same(v.Process) || len(served(got.Servers["web"])) != 0 {
		t.Errorf("got %+v of %+v", served(got.Servers["web"]), got.Process)
	}
}

func hang(t *testing.T, on *target) {
	v := on.view(t, "web")
	cont := on.Stop()
	defer cont()
	on.relay.Forget()
	_, err := on.client.Info(shortly(t, 100*time.Millisecond))
	wantFault(t, err, slots.Hung, false)
	changes := []slots.Change{fill("web", find(t, v, "web", "web20"), addr("127.9.0.20:80"))}
	_, err = on.client.Apply(shortly(t, 100*time.Millisecond), v.Process, changes)
	wantFault(t, err, slots.Hung, false)
	if n := writes(on.relay.Transcript()); n != 0 {
		t.Errorf("%d commands went to a HAProxy that hangs", n)
	}
	cont()
	on.apply(t, v.Process, changes...)
}
