package oracle

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// A rule is what the oracle names of one history, and the nearest history in which it
// names nothing.
type rule struct {
	name, text   string // of the violation; text is a piece of it
	conf         Backend
	wrong, right func(h *history)
}

// onServers are the rules about single commands.
var onServers = []rule{
	{
		name: "void", text: "0.0.0.0:80",
		wrong: func(h *history) { h.fills("s5", netip.MustParseAddrPort("0.0.0.0:80")) },
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.fills("s5", addr(5)) },
	},
	{
		name: "void", text: "10.0.0.5:1",
		wrong: func(h *history) { h.fills("s5", netip.MustParseAddrPort("10.0.0.5:1")) },
		right: func(h *history) {
			h.sends("s5", "set server SERVER addr 10.0.0.5 port 1", func(s *Server) { s.Addr = netip.MustParseAddrPort("10.0.0.5:1") })
		},
	},
	{
		name: "ghost", text: "which nobody ever listed",
		wrong: func(h *history) { h.fills("s5", addr(5)) },
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.lists(1, 2, 3, 4); h.fills("s5", addr(5)) },
	},
	{
		name: "ghost", text: "which nobody ever listed",
		wrong: func(h *history) { h.fills("s5", addr(5)) },
		right: func(h *history) { h.MayList("web", addr(5)); h.fills("s5", addr(5)) },
	},
	{
		name: "ghost", text: "which nobody ever listed",
		wrong: func(h *history) { h.fills("s5", addr(5)) },
		right: func(h *history) { // it was meant for the process before this one
			h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
			h.after(Window / 2)
			h.fills("s5", addr(5))
		},
	},
	{
		name: "refused", text: "10.0.0.5:80 into service, which is denied",
		wrong: func(h *history) {
			h.denies(5)
			h.after(time.Second)
			h.lists(1, 2, 3, 4, 5)
			h.after(2 * Grace)
			h.fills("s5", addr(5))
		},
		right: func(h *history) {
			h.denies(5)
			h.after(time.Second)
			h.lists(1, 2, 3, 4, 5)
			h.after(Grace / 2)
			h.fills("s5", addr(5))
		},
	},
	{
		name: "refused", text: "10.0.0.5:80 into service, which is denied",
		wrong: func(h *history) {
			h.denies(5)
			h.after(time.Second)
			h.lists(1, 5)
			h.after(2 * Grace)
			h.fills("s5", addr(5))
		},
		right: func(h *history) {
			h.denies(5)
			h.after(time.Second)
			h.lists(5)
			h.after(2 * Grace)
			h.fills("s5", addr(5))
		}, // all that there is
	},
	{
		name: "agent", text: "its agent brings 10.0.0.4:80 back, which is gone since",
		wrong: func(h *history) { h.lists(1, 2, 3); h.empties("s4"); h.after(Calm + time.Second); h.revives("s4") },
		right: func(h *history) { h.lists(1, 2, 3); h.empties("s4"); h.after(Calm - time.Second); h.revives("s4") },
	},
	{
		name: "override", text: "although an operator asked for state maint of web 10.0.0.5:80",
		wrong: func(h *history) {
			h.lists(1, 2, 3, 4, 5)
			h.Asked(h.now, stopped(5), time.Time{})
			h.after(2 * Grace)
			h.fills("s5", addr(5))
		},
		right: func(h *history) {
			h.lists(1, 2, 3, 4, 5)
			h.Asked(h.now, stopped(5), time.Time{})
			h.after(2 * Grace)
			h.Ended(h.now, stopped(5))
			h.fills("s5", addr(5))
		},
	},
	{
		name: "override", text: "although an operator asked for state maint of  10.0.0.5:0",
		wrong: func(h *history) {
			h.lists(1, 2, 3, 4, 5)
			h.Asked(h.now, Ask{Addr: netip.AddrPortFrom(addr(5).Addr(), 0), Kind: "state", Value: Maint}, h.now.Add(time.Minute))
			h.after(2 * Grace)
			h.fills("s5", addr(5))
		},
		right: func(h *history) { // until then only
			h.lists(1, 2, 3, 4, 5)
			h.Asked(h.now, Ask{Addr: netip.AddrPortFrom(addr(5).Addr(), 0), Kind: "state", Value: Maint}, h.now.Add(time.Minute))
			h.after(time.Minute)
			h.fills("s5", addr(5))
		},
	},
	{
		name: "order", text: "while the slot is in drain",
		wrong: func(h *history) { h.row("s5").State = Drain; h.lists(1, 2, 3, 4, 5); h.fills("s5", addr(5)) },
		right: func(h *history) { h.row("s5").State = Maint; h.lists(1, 2, 3, 4, 5); h.fills("s5", addr(5)) },
	},
	{
		name: "busy", text: "while it has 2 sessions",
		wrong: func(h *history) { h.row("s5").Sessions = 2; h.lists(1, 2, 3, 4, 5); h.fills("s5", addr(5)) },
		right: func(h *history) { h.row("s5").Sessions = 2; h.sends("s5", "set server SERVER weight 50%", nil) },
	},
	{
		name: "grammar", text: "was sent",
		wrong: func(h *history) { h.sends("s1", "set server SERVER weight 50%;shutdown sessions server", nil) },
		right: func(h *history) { h.sends("s1", "set server SERVER weight 50%", nil) },
	},
	{
		name: "not ours", text: "nothing is configured to be done there",
		wrong: func(h *history) {
			s := Server{Name: "s1", Addr: addr(70), State: Ready}
			h.Executed(h.now, Command{Instance: "edge", Backend: "other", Text: "set server other/s1 weight 50%", Before: &s, After: &s})
		},
		right: func(h *history) { // it is no more
			h.Configured(h.now, []Backend{{Name: "other"}}, []string{"edge"})
			h.after(Grace / 2)
			h.sends("s1", "set server SERVER weight 50%", nil)
		},
	},
	{
		name: "external", text: "10.0.0.4:80 into service, which somebody took out of it",
		wrong: func(h *history) { h.loses("s4"); h.enables("s4") },
		right: func(h *history) { h.loses("s4"); h.Ended(h.now, stopped(4)); h.enables("s4") }, // an operator gave it back
	},
	{
		name: "external", text: "10.0.0.4:80 into service, which somebody took out of it",
		wrong: func(h *history) { h.loses("s4"); h.enables("s4") },
		right: func(h *history) { h.loses("s4"); h.lists(1, 2, 3); h.lists(1, 2, 3, 4); h.enables("s4") },
	},
	{
		name: "not ours", text: "static1",
		wrong: func(h *history) { h.empties("static1") },
		right: func(h *history) {
			h.executes("static1", "set server SERVER state maint", func(s *Server) { s.State = Maint }, true)
		},
	},
}

// onLoss are the rules about what is taken out of service.
var onLoss = []rule{
	{
		name: "kept", text: "10.0.0.4:80 out of service, which is listed",
		wrong: func(h *history) { h.empties("s4") },
		right: func(h *history) { h.lists(1, 2, 3); h.empties("s4") },
	},
	{
		name: "kept", text: "which is kept: no part that lists it is whole without it",
		wrong: func(h *history) { h.answers(Partial, false, 1, 2, 3); h.empties("s4") },
		right: func(h *history) { h.answers(Whole, false, 1, 2, 3); h.empties("s4") },
	},
	{
		name: "kept", text: "which is kept: no part that lists it is whole without it",
		wrong: func(h *history) { h.Failed(h.now, "web", "consul"); h.after(time.Hour); h.empties("s4") },
		right: func(h *history) { // an operator asked for it
			h.Failed(h.now, "web", "consul")
			h.after(time.Hour)
			h.Asked(h.now, stopped(4), time.Time{})
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "removal, which is held for 1m0s, and it is gone for 10s", conf: Backend{Hold: time.Minute},
		wrong: func(h *history) { h.lists(1); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { h.lists(1, 2); h.after(10 * time.Second); h.empties("s4") },
	},
	{
		name: "guard", text: "removal, which is held for 1m0s, and it is gone for 10s", conf: Backend{Hold: time.Minute},
		wrong: func(h *history) { h.lists(1); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { // one of the three is in maintenance
			p := Part{State: Whole, Endpoints: []Endpoint{{addr(1), Ready}, {addr(2), Drain}}}
			h.Listed(h.now, "web", "consul", []Part{p}, false)
			h.after(10 * time.Second)
			h.empties("s4")
		},
	},
	{
		name: "kept", text: "which is kept: no part that lists it is whole without it",
		wrong: func(h *history) { // what the agent did not accept after all is there as before
			h.answers(Partial, false, 1, 2, 3)
			h.Accepted(h.now, "web", []netip.AddrPort{addr(4)})
			h.NotAccepted(h.now, "web", []netip.AddrPort{addr(4)})
			h.after(2 * Calm)
			h.empties("s4")
		},
		right: func(h *history) {
			h.answers(Partial, false, 1, 2, 3)
			h.Accepted(h.now, "web", []netip.AddrPort{addr(4)})
			h.after(2 * Calm)
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "removal, which is held for 1m0s, and it is gone for 10s", conf: Backend{Hold: time.Minute},
		wrong: func(h *history) { h.leavesMaintenance(); h.lists(1); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { // what an operator accepted is no loss, also where it was out of service
			h.leavesMaintenance()
			h.Accepted(h.now, "web", []netip.AddrPort{addr(2)})
			h.lists(1)
			h.after(10 * time.Second)
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "removal, which is held for 1m0s, and it is gone for 0s", conf: Backend{Hold: time.Minute},
		wrong: func(h *history) { h.lists(1); h.empties("s4") },
		right: func(h *history) { h.lists(1, 2, 3); h.lists(1); h.empties("s4") }, // it was sent before the loss was too much
	},
	{
		name: "guard", text: "empty, which is held for 1m0s, and it is gone for 10s", conf: Backend{EmptyHold: time.Minute},
		wrong: func(h *history) { h.lists(); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { h.lists(1); h.after(10 * time.Second); h.empties("s4") },
	},
	{
		name: "guard", text: "empty, which is held for 1m0s, and it is gone for 10s", conf: Backend{EmptyHold: time.Minute},
		wrong: func(h *history) { h.sickens(1); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { // what is registered goes on, so that something serves
			h.conf.Keep = true
			h.configured()
			h.after(time.Minute)
			h.sickens(1)
			h.after(10 * time.Second)
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "removal, which is held for 1m0s, and it is gone for 10s", conf: Backend{Hold: time.Minute, Keep: true},
		wrong: func(h *history) { h.sickens(1); h.after(10 * time.Second); h.empties("s4") },
		right: func(h *history) { h.sickens(1, 2); h.after(10 * time.Second); h.empties("s4") }, // two of four left
	},
	{
		name: "guard", text: "empty, which is held for ever", conf: Backend{EmptyHold: -1},
		wrong: func(h *history) { h.lists(); h.after(time.Hour); h.empties("s4") },
		right: func(h *history) {
			h.lists()
			h.after(time.Hour)
			h.Accepted(h.now, "web", []netip.AddrPort{addr(4)})
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "empty, which is held for 1m0s, and it is gone for 0s", conf: Backend{EmptyHold: time.Minute},
		wrong: func(h *history) { h.configured(); h.after(2 * Calm); h.lists(); h.empties("s4") },
		right: func(h *history) { // it was listed by one that stood by: nobody has seen it work
			h.conf.Primary = "other"
			h.configured()
			h.after(2 * Calm)
			h.conf.Primary = ""
			h.configured()
			h.after(Grace)
			h.lists()
			h.after(Calm)
			h.empties("s4")
		},
	},
	{
		name: "guard", text: "removal, which was not confirmed three times", conf: Backend{Hold: time.Minute},
		wrong: func(h *history) { h.lists(1); h.after(70 * time.Second); h.confirms(2, 1); h.empties("s4") },
		right: func(h *history) { h.lists(1); h.after(70 * time.Second); h.confirms(3, 1); h.empties("s4") },
	},
}

// sickens has these endpoints be all that are listed, and unhealthy.
func (h *history) sickens(ns ...int) {
	p := Part{State: Whole}
	for _, n := range ns {
		p.Endpoints = append(p.Endpoints, Endpoint{addr(n), Down})
	}
	h.Listed(h.now, "web", "consul", []Part{p}, false)
}

// leavesMaintenance has endpoint 2 be in maintenance, and leave.
func (h *history) leavesMaintenance() {
	h.Listed(h.now, "web", "consul", []Part{{State: Whole, Endpoints: []Endpoint{{addr(1), Ready}, {addr(2), Drain}, {addr(3), Ready}, {addr(4), Ready}}}}, false)
	h.empties("s2")
	h.lists(1, 3, 4)
}

// confirms has the source list these again, as often, asked in the strongest way.
func (h *history) confirms(times int, ns ...int) {
	for range times {
		h.answers(Whole, true, ns...)
	}
}

func TestRules(t *testing.T) {
	for _, r := range slices.Concat(onServers, onLoss, onMove, onTakeover, onStatus, onEnd, onOthers, onAccept, onReload) {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			h := begin(r.conf)
			h.says(nil)
			r.right(h)
			if v := h.Violations(); len(v) > 0 {
				t.Errorf("nothing is wrong, and it names %v", v)
			}
			h = begin(r.conf)
			h.says(nil)
			r.wrong(h)
			v := h.Violations()
			if len(v) == 0 {
				t.Fatalf("it names nothing instead of %q", r.text)
			}
			for _, v := range v {
				if v.Rule != r.name || !strings.Contains(v.Text, r.text) {
					t.Errorf("it names %q instead of %s: %q", v, r.name, r.text)
				}
			}
		})
	}
}

// TestRoundAbout: nothing is wrong with an hour in which all goes as it should.
func TestRoundAbout(t *testing.T) {
	h := begin(Backend{Hold: time.Minute, EmptyHold: time.Minute})
	for n := range 60 {
		lost, free := fmt.Sprint("s", n%8+1), fmt.Sprint("s", (n+4)%8+1)
		h.lists(n+2, n+3, n+4, n+5)
		h.fills(free, addr(n+5))
		h.empties(lost)
		h.Told(Event{At: h.now, Kind: "changed", Instance: "edge", Slots: []string{free, lost}})
		h.after(time.Minute)
		h.says(nil)
	}
	h.ends(nil)
	if v := h.Violations(); len(v) > 0 {
		t.Errorf("it names %v", v)
	}
}
