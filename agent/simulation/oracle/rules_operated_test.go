package oracle

import (
	"net/netip"
	"time"
)

// takes has somebody else take a slot out of service; restarts has the agent end and begin again.
func (h *history) takes(server string) {
	h.executes(server, "set server SERVER state maint", func(s *Server) { s.State = Maint }, true)
}

func (h *history) restarts() {
	h.Stopped(h.now)
	h.Started(h.now)
	h.lists(h.listed...)
	h.after(time.Second)
}

// fallsBack has somebody take a server out of service, the primary source list these, the other
// one all four, and the agent put the server into service.
func (h *history) fallsBack(server string, primary ...int) {
	h.conf.Primary, h.conf.Feeds = "consul", []string{"consul", "spare"}
	h.configured()
	all := Part{State: Whole}
	for n := range 4 {
		all.Endpoints = append(all.Endpoints, Endpoint{addr(n + 1), Ready})
	}
	h.Listed(h.now, "web", "spare", []Part{all}, false)
	h.after(time.Minute)
	h.takes(server)
	h.after(time.Minute)
	h.lists(primary...)
	h.enables(server)
}

// replaces has another process, with the same slots, take the place of HAProxy.
func (h *history) replaces() { h.Process(h.now, "edge", map[string][]Server{"web": h.rows}) }

// hasElsewhere has another instance serve endpoint n in that slot, since a minute ago.
func (h *history) hasElsewhere(server string, n int) {
	h.Configured(h.now, []Backend{h.conf}, []string{"edge", "core"})
	h.Process(h.now, "core", map[string][]Server{"web": {{Name: server, Addr: addr(n), State: Ready, Weight: 1}}})
	h.after(time.Minute)
}

// reloads has the agent reload HAProxy for want of slots, with the file as it is, and after it.
func (h *history) reloads(asked bool, before, after, slots string) {
	r := Reload{Asked: asked, Backends: []string{"web"}, Tag: before, Slots: slots}
	h.ReloadBegins(h.now, r)
	r.Tag = after
	h.ReloadEnds(h.now, r)
}

// onOthers are about what somebody else did to slots.
var onOthers = []rule{
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { h.takes("s4"); h.after(time.Minute); h.enables("s4") },
		right: func(h *history) {
			h.takes("s4")
			h.after(time.Minute)
			h.GivenBack(h.now, "web", addr(4))
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { // also while no agent runs
			h.Stopped(h.now)
			h.after(time.Second)
			h.takes("s4")
			h.Started(h.now)
			h.lists(1, 2, 3, 4)
			h.enables("s4")
		},
		right: func(h *history) { // another process begins anew
			h.takes("s4")
			h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
			h.after(time.Minute)
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { h.fallsBack("s4", 1, 2, 3, 4) },
		right: func(h *history) { h.fallsBack("s4", 1, 2, 3) }, // it had left, and another source stands in
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { h.takes("s4"); h.restarts(); h.enables("s4") },
		right: func(h *history) {
			h.conf.Repair = true
			h.configured()
			h.takes("s4")
			h.restarts()
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { // in a slot of another number than elsewhere, too
			h.hasElsewhere("s7", 4)
			h.Stopped(h.now)
			h.takes("s4")
			h.Started(h.now)
			h.lists(1, 2, 3, 4)
			h.enables("s4")
		},
		right: func(h *history) {
			h.hasElsewhere("s7", 4)
			h.Stopped(h.now)
			h.takes("s4")
			h.Started(h.now)
			h.lists(1, 2, 3, 4)
			h.GivenBack(h.now, "web", addr(4))
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { h.takes("s4"); h.lists(1, 2, 3, 4); h.enables("s4") },
		right: func(h *history) { // it was in maintenance for a moment, in the same moment
			h.takes("s4")
			h.Listed(h.now, "web", "consul", []Part{{State: Whole, Endpoints: []Endpoint{{addr(1), Ready}, {addr(4), Drain}}}}, false)
			h.lists(1, 2, 3, 4)
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { // also where a failover is configured, and not any more
			h.takes("s4")
			h.conf.Primary = "other"
			h.configured()
			h.conf.Primary = ""
			h.configured()
			h.after(2 * Calm)
			h.enables("s4")
		},
		right: func(h *history) { // it may have been out of use
			h.takes("s4")
			h.conf.Feeds, h.conf.Primary = []string{"consul", "other"}, "other"
			h.configured()
			h.after(2 * Calm)
			h.enables("s4")
		},
	},
	{
		name: "external", text: "which somebody took out of it at",
		wrong: func(h *history) { // also where the instance leaves the configuration
			h.takes("s4")
			h.after(time.Minute)
			h.parts(func() {})
			h.enables("s4")
		},
		right: func(h *history) { // that agent knows nothing of it
			h.takes("s4")
			h.after(time.Minute)
			h.parts(h.restarts)
			h.enables("s4")
		},
	},
	{
		name: "must", text: "does not serve 10.0.0.4:80",
		wrong: func(h *history) {
			h.takes("s4")
			h.GivenBack(h.now, "web", addr(4))
			h.after(time.Minute)
			h.says(outOfSync)
		},
		right: func(h *history) { h.takes("s4"); h.after(time.Minute); h.says(outOfSync) },
	},
	{
		name: "must", text: "does not serve 10.0.0.4:80",
		wrong: func(h *history) { h.emptiedAndBack(time.Second) },
		right: func(h *history) { // the state still says that it is in service
			h.Unstored(h.now)
			h.emptiedAndBack(time.Second)
		},
	},
	{
		name: "must", text: "does not serve 10.0.0.4:80",
		wrong: func(h *history) { h.emptiedAndBack(2 * Window) },
		right: func(h *history) { h.emptiedAndBack(Window / 2) }, // there was no time to store it
	},
	{
		name: "must", text: "does not serve 10.0.0.4:80",
		wrong: func(h *history) { h.emptiesAndParts(func() {}) },
		right: func(h *history) { h.emptiesAndParts(h.restarts) }, // that agent knows nothing of it
	},
}

// parts has the instance leave the configuration, and come back.
func (h *history) parts(between func()) {
	h.Configured(h.now, []Backend{h.conf}, nil)
	h.after(time.Second)
	between()
	h.lists(1, 2, 3, 4)
	h.configured()
	h.after(2 * time.Minute)
}

// emptiesAndParts has the agent empty s4 before that, whose endpoint is back when the instance is.
func (h *history) emptiesAndParts(between func()) {
	h.lists(1, 2, 3)
	h.empties("s4")
	h.Told(Event{At: h.now, Kind: "changed", Instance: "edge", Slots: []string{"s4"}})
	h.after(time.Minute)
	h.parts(between)
	h.says(outOfSync)
}

// onAccept are about what an operator accepts.
var onAccept = []rule{
	{
		name: "accept", text: "10.0.0.2:80 was let go by k1",
		wrong: func(h *history) {
			h.Removed(h.now, "web", "k1", []netip.AddrPort{addr(1)}, []netip.AddrPort{addr(1), addr(2)})
		},
		right: func(h *history) {
			h.Removed(h.now, "web", "k1", []netip.AddrPort{addr(1), addr(2)}, []netip.AddrPort{addr(1)})
		},
	},
}

// onReload are about reloads for want of slots.
var onReload = []rule{
	{
		name: "reload", text: "sooner than 30s",
		wrong: func(h *history) {
			h.ReloadRules(30*time.Second, 9)
			h.reloads(true, "1", "1", "8")
			h.after(29 * time.Second)
			h.reloads(false, "1", "2", "8")
		},
		right: func(h *history) {
			h.ReloadRules(30*time.Second, 9)
			h.reloads(true, "1", "1", "8")
			h.after(30 * time.Second)
			h.reloads(false, "1", "2", "8")
		},
	},
	{
		name: "reload", text: "after 2 reloads in an hour",
		wrong: func(h *history) {
			h.ReloadRules(0, 2)
			h.reloads(false, "1", "2", "8")
			h.reloads(false, "2", "3", "9")
			h.reloads(false, "3", "4", "10")
		},
		right: func(h *history) {
			h.ReloadRules(0, 2)
			h.reloads(false, "1", "2", "8")
			h.reloads(false, "2", "3", "9")
			h.after(time.Hour)
			h.reloads(false, "3", "4", "10")
		},
	},
	{
		name: "reload", text: "for web once more: nothing has changed",
		wrong: func(h *history) {
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "2", "8")
			h.after(time.Minute)
			h.reloads(false, "2", "2", "8")
		},
		right: func(h *history) { // a person has asked since, and the file is another one
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "2", "8")
			h.after(time.Minute)
			h.reloads(true, "2", "2", "8")
			h.reloads(false, "2", "3", "8")
			h.reloads(false, "4", "4", "8")
			h.reloads(false, "4", "4", "9")
		},
	},
	{
		name: "reload", text: "for web once more: nothing has changed",
		wrong: func(h *history) {
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "1", "8")
			h.after(time.Minute)
			h.restarts()
			h.reloads(false, "1", "1", "8")
		},
		right: func(h *history) {
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "1", "8")
			h.restarts()
			h.reloads(false, "1", "1", "8")
		}, // it was not stored
	},
	{
		name: "reload", text: "for web once more: nothing has changed",
		wrong: func(h *history) {
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "1", "8")
			h.replaces()
			h.after(Grace)
			h.reloads(false, "1", "1", "8")
		},
		right: func(h *history) { // it was for the slots that there were before
			h.ReloadRules(0, 9)
			h.reloads(false, "1", "1", "8")
			h.replaces()
			h.after(Grace / 2)
			h.reloads(false, "1", "1", "8")
		},
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) { h.Rendered(h.now, "edge", "web", 8, 7) },
		right: func(h *history) { h.Rendered(h.now, "edge", "web", 8, 8) },
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) {
			h.replaces()
			h.after(2 * Grace)
			h.Faulty(h.now, "edge") // the agent knew it before
			h.after(time.Hour)
			h.Rendered(h.now, "edge", "web", 8, 7)
		},
		right: func(h *history) {
			h.replaces()
			h.after(Grace / 2)
			h.Faulty(h.now, "edge")
			h.after(time.Hour)
			h.Rendered(h.now, "edge", "web", 8, 7)
		},
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) {
			h.Faulty(h.now, "edge")
			h.replaces()
			h.Well(h.now, "edge")
			h.after(2 * Grace)
			h.Rendered(h.now, "edge", "web", 8, 7)
		},
		right: func(h *history) { // it is another one since it could be looked at
			h.Faulty(h.now, "edge")
			h.replaces()
			h.after(2 * Grace)
			h.Rendered(h.now, "edge", "web", 8, 7)
		},
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) { h.configured(); h.Rendered(h.now, "edge", "web", 8, 7) },
		right: func(h *history) { // where the backend is not filled nobody sees that there are more
			for _, at := range []string{"core", "edge", "core"} {
				h.conf.Instances = []string{at}
				h.configured()
			}
			h.Rendered(h.now, "edge", "web", 9, 8)
		},
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) { // which was seen before the backend was filled elsewhere alone
			h.conf.Instances = []string{"core"}
			h.configured()
			h.Rendered(h.now, "edge", "web", 9, 7)
		},
		right: func(h *history) {
			h.Faulty(h.now, "edge")
			h.replaces()
			h.conf.Instances = []string{"core"}
			h.configured()
			h.Rendered(h.now, "edge", "web", 9, 7)
		},
	},
	{
		name: "shrunk", text: "with 7 slots of web, and had 8",
		wrong: func(h *history) { h.Faulty(h.now, "edge"); h.Rendered(h.now, "edge", "web", 8, 7) },
		right: func(h *history) { // by an agent that has never seen it
			h.Faulty(h.now, "edge")
			h.restarts()
			h.after(2 * Grace)
			h.Rendered(h.now, "edge", "web", 8, 7)
		},
	},
}
