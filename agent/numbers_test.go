package agent

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// retemplate gives the fake a new process whose template is this one.
func (f *fakeConn) retemplate(prefix string, first, last int) {
	f.with(func() {
		f.process.Pid++
		f.servers["web"] = templateOf(slots.Range{Prefix: prefix, First: first, Last: last}, "slot.invalid")
	})
}

// A template that is renamed on one HAProxy after the other: every endpoint keeps its
// number, nothing is written to the other one, and either's names stand for the slots.
func TestRenamedOnOneAfterTheOther(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Prefix = ""
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		b.takeWrites()
		a.retemplate("srv", 1, 5)
		w.pass(time.Second)
		w.want(a, "srv1=:80 srv2=:81 srv3=:82")
		w.want(b, "web1=:80 web2=:81 web3=:82")
		if writes := b.takeWrites(); len(writes) > 0 {
			t.Errorf("written to the other: %v", writes)
		}
		slot := w.status().Backends[0].Slots[1]
		if slot.Name != "srv2" || slot.Instances[0].Name != "" || slot.Instances[1].Name != "web2" {
			t.Errorf("shown as %+v", slot)
		}
		for _, name := range []string{"web2", "srv2"} {
			ref, err := w.agent.SetState(w.t.Context(), "web", name, api.StateDrain, api.Who{})
			if err != nil || ref.Slot != "srv2" || ref.Endpoint != addr(81).String() {
				t.Errorf("%s: %+v, %v", name, ref, err)
			}
			if e, err := w.agent.Explain(w.t.Context(), "web", name); err != nil || e.Addresses[0].Address != addr(81).String() {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
		}
		w.settle()
		w.want(a, "srv1=:80 srv2=:81/drain srv3=:82")
		w.want(b, "web1=:80 web2=:81/drain web3=:82")
		b.retemplate("srv", 1, 5)
		w.pass(time.Second)
		w.want(b, "srv1=:80 srv2=:81/drain srv3=:82")
	}, a, b)
}

// What somebody took out stays out under another name of the slot.
func TestExternalOutlivesARename(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Prefix = ""
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		a.retemplate("srv", 1, 5)
		w.pass(time.Minute)
		w.want(a, "srv1=:80")
		w.stop()
		w.source.asked = false
		w.start()
		w.pass(time.Minute)
		w.want(a, "srv1=:80")
	}, a)
}

// The endpoints of slots that are gone move at once, and have them again if they are
// without a slot when those are back.
func TestLostSlotIsPreferredWhenItComesBack(t *testing.T) {
	a := newFake("a", "web", 4)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(83)...)
		w.start()
		for _, ports := range [][]int{{82, 83}, {80, 81, 82, 83}} {
			w.source.list(ports...)
			w.settle()
		}
		w.want(a, "web1=:83 web2=:82 web3=:80 web4=:81")
		a.retemplate("web", 3, 4)
		w.pass(time.Second)
		w.want(a, "web3=:80 web4=:81")
		a.retemplate("web", 1, 4)
		w.pass(time.Second)
		w.want(a, "web1=:83 web2=:82 web3=:80 web4=:81")
	}, a)
}

func TestSlotsThatAreGone(t *testing.T) {
	a := newFake("a", "web", 8)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		a.retemplate("web", 5, 8)
		w.start()
		w.want(a, "web5=:80 web6=:81 web7=:82 web8=:83")
		a.retemplate("web", 1, 4)
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82 web4=:83")
		w.wantSync("a", true)
		a.retemplate("web", 3, 4)
		w.pass(time.Second)
		w.want(a, "web3=:82 web4=:83")
		w.wantSync("a", true) // beyond all slots
		w.stop()
		w.source.asked = false
		w.start()
		w.pass(time.Second)
		a.retemplate("web", 1, 8)
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82 web4=:83")
	}, a)
}

// An instance whose template has other numbers than the other one's serves all the same.
func TestRangesThatDiffer(t *testing.T) {
	a, b := newFake("a", "web", 8), newFake("b", "web", 8)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		b.takeWrites()
		a.retemplate("web", 101, 108)
		w.pass(time.Second)
		for _, c := range w.conns {
			w.wantReady(c, 4)
			w.wantSync(c.name, true)
		}
		if writes := b.takeWrites(); len(writes) > 0 {
			t.Errorf("written to the other: %v", writes)
		}
		if slot := w.status().Backends[0].Slots[1]; slot.Name != "web2" || slot.Instances[0].Name != "web102" || slot.Instances[0].Lacking {
			t.Errorf("shown as %+v", slot)
		}
		if e, err := w.agent.Explain(w.t.Context(), "web", addr(81).String()); err != nil || !strings.Contains(e.Verdict, "takes traffic at a and b") || strings.Contains(e.Verdict, "no slot") {
			t.Errorf("%q, %v", e.Verdict, err)
		}
	}, a, b)
}

// What cannot be filled is not in sync, not ready, and named.
func TestWhatCannotBeFilledIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeConn)
		prefix string
		want   string
	}{
		"no backend":     {func(f *fakeConn) { delete(f.servers, "web") }, "", "has no backend web"},
		"no template":    {func(f *fakeConn) { f.servers["web"] = nil }, "", "which servers of backend web are slots"},
		"another prefix": {func(*fakeConn) {}, "srv", "named srv and a number"},
		"two templates": {func(f *fakeConn) {
			f.servers["web"] = append(f.servers["web"], slots.Server{Name: "api1", Addr: parked, Disabled: true})
		}, "", "api, web"},
		"no address": {func(f *fakeConn) {
			for i := range f.servers["web"] {
				f.servers["web"][i].Addr, f.servers["web"][i].NoAddress = netip.AddrPort{}, true
			}
		}, "", "init-addr"},
		"disabled": {func(f *fakeConn) {
			for i := range f.servers["web"] {
				f.servers["web"][i].Addr, f.servers["web"][i].Off = netip.AddrPort{}, true
			}
		}, "", "disabled in the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 3)
			test.change(a)
			inWorld(t, func(w *world) {
				w.opts.Backends[0].Prefix = test.prefix
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.pass(2 * time.Second)
				w.wantSync("a", false)
				s := w.status()
				if s.Ready || !strings.Contains(s.Backends[0].Problem, test.want) {
					t.Errorf("ready %v, problem %q", s.Ready, s.Backends[0].Problem)
				}
				w.stop()
				w.source.asked = false
				agent, err := New(w.opts)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := agent.Once(w.t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("one round: %v", err)
				}
			}, a)
		})
	}
}

// A prefix that was found stays when servers are added to a template of plain addresses,
// which then cannot be told from other servers, also over a restart of the agent.
func TestFoundPrefixOutlivesAddedServers(t *testing.T) {
	a := newFake("a", "web", 2)
	a.servers["web"] = templateOf(slots.Range{Prefix: "web", First: 1, Last: 2}, "")
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Prefix, w.opts.Backends[0].Dynamic = "", true
		w.opts.Backends[0].Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82")
		w.source.list(80, 81, 83)
		w.pass(2 * time.Second)
		w.wantReady(a, 3)
		w.stop()
		w.source = newSource(80, 81, 83, 84)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(2 * time.Second)
		w.wantReady(a, 4)
		w.wantSync("a", true)
	}, a)
}

// A prefix that was found by itself may be written down, and left out again; another one
// is another template.
func TestFoundPrefixIsTheConfiguredOne(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Prefix = ""
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.takeWrites()
		for _, prefix := range []string{"web", "", "web"} {
			next := w.opts
			next.Backends = []Backend{w.opts.Backends[0]}
			next.Backends[0].Prefix = prefix
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				t.Fatalf("slots: %q: %v", prefix, err)
			}
			w.pass(time.Minute)
			w.want(a, "web1=:80 web2=:81")
			w.wantSync("a", true)
		}
		if writes := a.takeWrites(); len(writes) > 0 {
			t.Errorf("written: %v", writes)
		}
		next := w.opts
		next.Backends = []Backend{w.opts.Backends[0]}
		next.Backends[0].Prefix = "srv"
		if err := w.agent.Reconfigure(w.t.Context(), next); err == nil {
			t.Error("other slots are not refused")
		}
	}, a)
}

// A state that the release before this one wrote is read, and it reads what this one
// writes: slots and externals by their names.
func TestStateOfTheReleaseBefore(t *testing.T) {
	a := newFake("a", "web", 8)
	a.retemplate("web1", 1, 8)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Prefix = "web1"
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web12", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		var before struct {
			Backends []struct {
				Slots map[string]string `json:"slots"`
			} `json:"backends"`
			Instances []struct {
				Externals map[string]map[string]reconciler.External `json:"externals"`
			} `json:"instances"`
		}
		s, err := loadState(securedir.Policy{}, w.opts.StateDir, (*store.Dir).ReadOrSetAside)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err == nil {
			err = json.Unmarshal(text, &before)
		}
		if err != nil {
			t.Fatal(err)
		}
		if before.Backends[0].Slots[addr(81).String()] != "web12" || before.Instances[0].Externals["web"]["web12"].Addr != addr(81) {
			t.Errorf("the release before reads %+v", before)
		}
		for i := range s.Backends {
			s.Backends[i].Numbers = nil
		}
		for name, e := range s.Instances[0].Externals["web"] {
			e.Number = nil
			s.Instances[0].Externals["web"][name] = e
		}
		if got := s.Backends[0].numbers("web1"); got[addr(81)] != 2 {
			t.Errorf("slots are read as %v", got)
		}
		if got := s.instance("a").externals(w.opts.Backends[0], time.Now()); got[2].Addr != addr(81) {
			t.Errorf("externals are read as %v", got)
		}
	}, a)
}

// Where HAProxy's own resolvers have the slots nothing is written, and the remedy is said.
func TestSlotsThatHAProxyResolves(t *testing.T) {
	for name, change := range map[string]func(*fakeConn){
		"by a host name":   func(f *fakeConn) { f.resolvers = map[string]bool{"web": true} },
		"by an SRV record": func(f *fakeConn) { f.servers["web"][0].Resolved, f.servers["web"][0].FQDN = true, "" },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFake("a", "web", 3), newFake("b", "web", 3)
			change(a)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.pass(time.Minute)
				if writes := a.takeWrites(); len(writes) > 0 || len(a.saved) > 0 {
					t.Errorf("written: %v, %v", writes, a.saved)
				}
				w.want(b, "web1=:80")
				w.wantSync("a", false)
				w.wantSync("b", true)
				if p := w.status().Backends[0].Problem; !strings.Contains(p, "remove `resolvers`") {
					t.Errorf("problem %q", p)
				}
				a.with(func() { a.resolvers = nil })
				a.restart(false)
				w.pass(time.Second)
				w.want(a, "web1=:80")
				w.wantSync("a", true)
			}, a, b)
		})
	}
}

// TestExternalInAStandIn: what somebody took out of service is shown as that also where the
// instance has the endpoint in another slot than the table.
func TestExternalInAStandIn(t *testing.T) {
	a, b := newFake("a", "web", 3), newFake("b", "web", 3)
	b.with(func() {
		b.servers["web"] = templateOf(slots.Range{Prefix: "web", First: 101, Last: 103}, "slot.invalid")
	})
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.want(b, "web101=:80")
		b.set("web101", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(2 * DefaultResync)
		row := w.status().Backends[0].Slots[0].Instances[1]
		if row.Name != "web101" || row.HeldBy != "external" {
			t.Errorf("shown as %+v", row)
		}
	}, a, b)
}
