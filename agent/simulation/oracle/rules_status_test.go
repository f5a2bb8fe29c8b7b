package oracle

import (
	"net/netip"
	"time"
)

// This file has the rules about what the agent says, what it finds, and what there is in the end.

// onStatus are the rules about what the agent says of itself.
var onStatus = []rule{
	{
		name: "truth", text: "shows s1 as 10.0.0.7:80 ready: it is 10.0.0.1:80 ready",
		wrong: func(h *history) { h.says(func(s *Status) { s.Backends[0].Rows[0].Addr = addr(7) }) },
		right: func(h *history) {
			h.says(func(s *Status) { r := &s.Backends[0].Rows[0]; r.Addr, r.HeldBy = addr(7), "sessions" })
		},
	},
	{
		name: "truth", text: "s4 serves 10.0.0.4:80, which is not wanted",
		wrong: func(h *history) { h.says(func(s *Status) { s.Backends[0].Wanted = s.Backends[0].Wanted[:3] }) },
		right: func(h *history) {
			h.finds("s5", addr(60))
			h.says(func(s *Status) { s.Backends[0].Taken = []netip.AddrPort{addr(60)} })
		},
	},
	{
		name: "foreign", text: "10.0.0.4:80 is said to be listed by nobody ever",
		wrong: func(h *history) { h.says(func(s *Status) { s.Backends[0].Taken = []netip.AddrPort{addr(4)} }) },
		right: func(h *history) { h.says(func(s *Status) { s.Backends[0].Taken = []netip.AddrPort{addr(60)} }) },
	},
	{
		name: "truth", text: "does not serve 10.0.0.5:80",
		wrong: func(h *history) { h.lists(1, 2, 3, 4, 5); h.after(10 * time.Second); h.says(nil) },
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.after(10 * time.Second); h.says(outOfSync) },
	},
	{
		name: "must", text: "does not serve 10.0.0.5:80, which is listed since",
		wrong: func(h *history) { h.lists(1, 2, 3, 4, 5); h.after(Late + time.Second); h.says(outOfSync) },
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.after(Late - time.Second); h.says(outOfSync) },
	},
	{
		name: "must", text: "does not serve 10.0.0.5:80, which is listed since",
		wrong: func(h *history) {
			h.lists(1, 2, 3, 4, 5)
			h.pausedUntil(Late)
			h.after(Calm + time.Second)
			h.says(outOfSync)
		},
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.pausedUntil(Late); h.after(time.Second); h.says(outOfSync) },
	},
	{
		name: "must", text: "does not serve 10.0.0.5:80, which is listed since",
		wrong: func(h *history) { // that another part is unknown is no reason
			h.lists(1, 2, 3, 4, 5)
			h.Failed(h.now, "web", "consul")
			h.after(Late + time.Second)
			h.says(outOfSync)
		},
		right: func(h *history) { // there is no room
			h.lists(1, 2, 3, 4, 5, 6, 7, 8)
			h.after(Late + time.Second)
			h.says(outOfSync)
		},
	},
	{
		name: "stays", text: "serves 10.0.0.4:80, which nobody lists since",
		wrong: func(h *history) { // for longer than its hold
			h.lists(1, 2, 3)
			h.after(3 * time.Minute)
			h.lists(1, 2, 3)
			h.says(outOfSync)
		},
		right: func(h *history) { // the source failed meanwhile
			h.lists(1, 2, 3)
			h.after(2 * time.Minute)
			h.Failed(h.now, "web", "consul")
			h.after(10 * time.Second)
			h.lists(1, 2, 3)
			h.says(outOfSync)
		},
	},
	{
		name: "durable", text: "an operator asked for state maint of web 10.0.0.4:80, and that is forgotten",
		wrong: func(h *history) { h.Asked(h.now, stopped(4), time.Time{}); h.after(2 * time.Second); h.says(nil) },
		right: func(h *history) {
			h.Asked(h.now, stopped(4), time.Time{})
			h.after(2 * time.Second)
			h.says(func(s *Status) { s.Overrides = []Ask{stopped(4)} })
		},
	},
	{
		name: "durable", text: "and that is forgotten",
		wrong: func(h *history) { h.Asked(h.now, stopped(4), time.Time{}); h.after(2 * time.Second); h.says(nil) },
		right: func(h *history) { // it could not be stored
			h.Asked(h.now, stopped(4), time.Time{})
			h.Unsure(stopped(4))
			h.after(2 * time.Second)
			h.says(nil)
		},
	},
	{
		name: "durable", text: "and that is forgotten",
		wrong: func(h *history) { // the other is of an endpoint of its own
			h.Asked(h.now, stopped(4), time.Time{})
			h.Doubtful(stopped(5))
			h.after(2 * time.Second)
			h.says(func(s *Status) { s.Overrides = []Ask{stopped(5)} })
		},
		right: func(h *history) { // another takes its place, and waits for the disk
			h.Asked(h.now, Ask{Backend: "web", Addr: addr(4), Kind: "state", Value: Drain}, time.Time{})
			h.Doubtful(stopped(4))
			h.after(2 * time.Second)
			h.says(func(s *Status) { s.Overrides = []Ask{stopped(4)} })
		},
	},
	{
		name: "durable", text: `an operator paused "web", and that is forgotten`,
		wrong: func(h *history) { h.Paused(h.now, "web", h.now.Add(time.Hour)); h.says(nil) },
		right: func(h *history) {
			h.Paused(h.now, "web", h.now.Add(time.Hour))
			h.says(func(s *Status) { s.Pauses = []string{"web"} })
		},
	},
	{
		name: "durable", text: `an operator paused "web", and that is forgotten`,
		wrong: func(h *history) {
			h.Paused(h.now, "web", h.now.Add(time.Minute))
			h.after(30 * time.Second)
			h.says(nil)
		},
		right: func(h *history) { h.Paused(h.now, "web", h.now.Add(time.Minute)); h.after(time.Minute); h.says(nil) },
	},
	{
		name: "up", text: "answers since 12:00:00, and is said to be down",
		wrong: func(h *history) { h.says(func(s *Status) { s.Instances[0].Up = false }) },
		right: func(h *history) { h.Faulty(h.now, "edge"); h.says(func(s *Status) { s.Instances[0].Up = false }) },
	},
	{
		name: "metrics", text: "in_sync edge is 0 in the metrics, and 1 in the status",
		wrong: func(h *history) { h.shows(0); h.after(Grace + time.Second); h.shows(0) },
		right: func(h *history) { h.shows(0); h.after(Grace + time.Second); h.shows(1) },
	},
	{
		name: "events", text: `nothing was told of "set server web/s4 state maint" at edge`,
		wrong: func(h *history) { h.lists(1, 2, 3); h.empties("s4"); h.after(Grace + time.Second); h.says(nil) },
		right: func(h *history) {
			h.lists(1, 2, 3)
			h.empties("s4")
			h.Told(Event{At: h.now, Kind: "changed", Instance: "edge", Slots: []string{"s4"}})
			h.after(Grace + time.Second)
			h.says(nil)
		},
	},
}

// shows has the gauge in_sync be that while the agent says that it is in sync.
func (h *history) shows(gauge float64) {
	h.says(func(s *Status) { s.Series = map[string]float64{"in_sync edge": gauge, "up edge": 1, "held web": 0} })
}

// onEnd are the rules about how it ends when every fault has.
// onMove are about slots that another process begins with.
var onMove = []rule{
	{
		name: "kept", text: "took 10.0.0.4:80 out of service, which is listed, and it is not back",
		wrong: func(h *history) {
			h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
			h.after(time.Minute)
			h.empties("s4")
			h.Told(Event{At: h.now, Kind: "changed", Instance: "edge", Slots: []string{"s4"}})
			h.after(Grace)
			h.says(func(s *Status) { outOfSync(s); s.Backends[0].Fought = true }) // which is not looked at otherwise
		},
		right: func(h *history) {
			h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
			h.after(time.Minute)
			h.empties("s4")
			h.fills("s5", addr(4))
			h.Told(Event{At: h.now, Kind: "changed", Instance: "edge", Slots: []string{"s4", "s5"}})
			h.after(Grace)
			h.says(outOfSync)
		},
	},
}

// onTakeover are about what an agent finds that nobody ever listed.
var onTakeover = []rule{
	{
		name: "foreign", text: "takes 10.0.0.60:80 out of service, which nobody ever listed",
		wrong: func(h *history) { h.finds("s5", addr(60)); h.empties("s5") },
		right: func(h *history) {
			h.finds("s5", addr(60))
			h.Accepted(h.now, "web", []netip.AddrPort{addr(60)})
			h.empties("s5")
		},
	},
	{
		name: "foreign", text: "takes 10.0.0.60:80 out of service, which nobody ever listed",
		wrong: func(h *history) { // nor does another start make it ours
			h.finds("s5", addr(60))
			h.Stopped(h.now)
			h.Started(h.now)
			h.empties("s5")
		},
		right: func(h *history) { // what was put there while the agent ran is no takeover
			h.Process(h.now, "edge", map[string][]Server{"web": h.rows})
			h.row("s5").Addr, h.row("s5").State = addr(60), Ready
			h.empties("s5")
		},
	},
}

var onEnd = []rule{
	{
		name: "converge", text: "edge is not in sync in the end",
		wrong: func(h *history) { h.ends(outOfSync) },
		right: func(h *history) { h.ends(nil) },
	},
	{
		name: "converge", text: "does not serve 10.0.0.5:80 in the end",
		wrong: func(h *history) { h.lists(1, 2, 3, 4, 5); h.ends(nil) },
		right: func(h *history) { h.lists(1, 2, 3, 4, 5); h.fills("s5", addr(5)); h.ends(nil) },
	},
	{
		name: "converge", text: "serves 10.0.0.4:80 twice in the end",
		wrong: func(h *history) { h.fills("s5", addr(4)); h.ends(nil) },
		right: func(h *history) { h.fills("s5", addr(4)); h.empties("s4"); h.ends(nil) },
	},
	{
		name: "converge", text: "serves 10.0.0.4:80 in the end, which nobody lists",
		wrong: func(h *history) { h.lists(1, 2, 3); h.ends(nil) },
		right: func(h *history) { h.lists(1, 2, 3); h.empties("s4"); h.ends(nil) },
	},
	{
		name: "converge", text: "web is held, kept or taken over in the end",
		wrong: func(h *history) { h.ends(func(s *Status) { s.Backends[0].Held = true }) },
		right: func(h *history) { h.ends(func(s *Status) { s.Backends[0].Overflow = []netip.AddrPort{addr(9)} }) },
	},
	{
		name: "minimal", text: "edge got 1 commands although nothing had changed",
		wrong: func(h *history) { h.Quiet(h.now, "edge", 1) },
		right: func(h *history) { h.Quiet(h.now, "edge", 0) },
	},
}
