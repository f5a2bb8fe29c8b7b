package oracle

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A history is told to an oracle. It begins a minute ago with one source of the backend
// web, which lists 1 to 4, and one HAProxy, edge, where s1 to s4 serve them and s5 to s8
// are free.
type history struct {
	*Oracle
	conf   Backend
	now    time.Time
	rows   []Server
	listed []int
}

func begin(conf Backend) *history {
	conf.Name, conf.Feeds, conf.MaxRemoval, conf.Window = "web", []string{"consul"}, .5, 90*time.Second
	h := &history{Oracle: New(), conf: conf, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	for n := range 8 {
		s := Server{Name: fmt.Sprint("s", n+1), Addr: netip.MustParseAddrPort("127.0.0.1:1"), State: Maint, Weight: 1}
		if n < 4 {
			s.Addr, s.State = addr(n+1), Ready
		}
		h.rows = append(h.rows, s)
	}
	h.rows = append(h.rows, Server{Name: "static1", Addr: addr(99), State: Ready, Weight: 1})
	h.configured()
	h.Process(h.now, "edge", map[string][]Server{"web": h.rows, "other": {{Name: "s1", Addr: addr(70), State: Ready}}})
	for n := range 4 { // which the agent has filled
		h.instances["edge"].filled[[2]string{"web", h.rows[n].Name}] = true
	}
	h.Started(h.now)
	h.lists(1, 2, 3, 4)
	h.after(time.Minute)
	return h
}

func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80)
}

func (h *history) configured() { h.Configured(h.now, []Backend{h.conf}, []string{"edge"}) }

// denies changes the configuration so that endpoint n is denied.
func (h *history) denies(n int) {
	h.conf.Deny = []netip.Prefix{netip.PrefixFrom(addr(n).Addr(), 32)}
	h.configured()
}

func (h *history) after(d time.Duration) { h.now = h.now.Add(d) }

// lists has the source list these endpoints, and no others.
func (h *history) lists(ns ...int) { h.answers(Whole, false, ns...) }

// answers is an answer of the source. What is partial adds to what was listed.
func (h *history) answers(state string, strongest bool, ns ...int) {
	p := Part{State: state}
	for _, n := range ns {
		p.Endpoints = append(p.Endpoints, Endpoint{addr(n), Ready})
	}
	h.listed = ns
	h.Listed(h.now, "web", "consul", []Part{p}, strongest)
}

func (h *history) row(name string) *Server {
	return &h.rows[slices.IndexFunc(h.rows, func(s Server) bool { return s.Name == name })]
}

// sends has the agent send a command about a server, which becomes what change makes of it.
func (h *history) sends(server, command string, change func(*Server)) {
	h.executes(server, command, change, false)
}

func (h *history) executes(server, command string, change func(*Server), other bool) {
	row := h.row(server)
	before := *row
	if change != nil {
		change(row)
	}
	after := *row
	text := strings.Replace(command, "SERVER", "web/"+server, 1)
	h.Executed(h.now, Command{Instance: "edge", Backend: "web", Text: text, Before: &before, After: &after, Other: other})
}

// finds has an agent meet another process, a minute ago, where this server serves a.
func (h *history) finds(server string, a netip.AddrPort) {
	h.Stopped(h.now)
	h.row(server).Addr, h.row(server).State = a, Ready
	h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
	h.Started(h.now)
	h.lists(h.listed...)
	h.after(time.Minute)
}

// fills has the agent give a free slot an address and put it into service.
func (h *history) fills(server string, a netip.AddrPort) {
	h.sends(server, fmt.Sprintf("set server SERVER addr %s port %d", a.Addr(), a.Port()), func(s *Server) { s.Addr = a })
	h.enables(server)
}

// loses has somebody take a slot out of service while no agent runs, a minute ago.
func (h *history) loses(server string) {
	h.Stopped(h.now)
	h.executes(server, "set server SERVER state maint", func(s *Server) { s.State = Maint }, true)
	h.configured()
	h.Started(h.now)
	h.lists(h.listed...)
	h.after(time.Minute)
}

// enables has the agent put a slot into service as it is.
func (h *history) enables(server string) {
	h.sends(server, "set server SERVER state ready", func(s *Server) { s.State = Ready })
}

// empties has the agent take a slot out of service.
func (h *history) empties(server string) {
	h.sends(server, "set server SERVER state maint", func(s *Server) { s.State = Maint })
}

// revives has the agent of the server itself (agent-check) say that it is ready.
func (h *history) revives(server string) {
	row := h.row(server)
	before := *row
	row.State = Ready
	after := *row
	h.AgentSaid(h.now, Command{Instance: "edge", Backend: "web", Text: "agent web/" + server + " ready", Before: &before, After: &after})
}

// status is what the agent says when all is as the source said last.
func (h *history) status() Status {
	b := BackendStatus{Name: "web", Live: true}
	for _, n := range h.listed {
		b.Wanted = append(b.Wanted, addr(n))
	}
	for _, s := range h.rows {
		r := Row{Instance: "edge", Name: s.Name, Addr: s.Addr, State: s.State}
		if s.State == Ready {
			r.Endpoint = s.Addr
		}
		b.Rows = append(b.Rows, r)
	}
	return Status{Instances: []InstanceStatus{{Name: "edge", Up: true, InSync: true}}, Backends: []BackendStatus{b}}
}

// says has the agent say that, but for what change makes of it.
func (h *history) says(change func(*Status)) {
	s := h.status()
	if change != nil {
		change(&s)
	}
	h.Says(h.now, s)
}

// pausedUntil has the agent say that it writes nothing for so long.
func (h *history) pausedUntil(d time.Duration) {
	h.after(d)
	h.says(func(s *Status) { s.Backends[0].Paused, s.Instances[0].InSync = true, false })
}

// ends is like says, when every fault has ended.
func (h *history) ends(change func(*Status)) {
	s := h.status()
	if change != nil {
		change(&s)
	}
	h.Calmed(h.now, s)
}

// emptiedAndBack has an endpoint leave and come back to an agent that was killed in between, so
// long after it emptied the slot.
func (h *history) emptiedAndBack(after time.Duration) {
	h.lists(1, 2, 3)
	h.empties("s4")
	h.after(after)
	h.Stopped(h.now)
	h.Started(h.now)
	h.lists(1, 2, 3, 4)
	h.after(time.Minute)
	h.says(outOfSync)
}

func stopped(n int) Ask { return Ask{Backend: "web", Addr: addr(n), Kind: "state", Value: Maint} }

func outOfSync(s *Status) { s.Instances[0].InSync = false }
