package simulation

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
)

// doOperator has an operator do something.
func (w *world) doOperator(s step) bool {
	v := w.service(s)
	p := v.parts[s.c%len(v.parts)]
	a := p.pool[(s.c/16)%len(p.pool)]
	who := api.Who{By: "sim", Keep: s.c%2 == 0}
	if s.c%3 == 0 {
		who.For = time.Duration(20+s.c%90) * time.Second
	}
	state := func(state string) {
		w.ask(oracle.Ask{Backend: v.backend, Addr: a, Kind: api.OverrideState, Value: state}, who, func(ctx context.Context) error {
			_, err := w.agent.SetState(ctx, v.backend, a.String(), state, who)
			return err
		})
	}
	switch s.verb {
	case "drain":
		state(api.StateDrain)
	case "stop":
		state(api.StateMaint)
	case "start":
		w.unask(oracle.Ask{Backend: v.backend, Addr: a, Kind: api.OverrideState}, func(ctx context.Context) error {
			_, err := w.agent.SetState(ctx, v.backend, a.String(), api.StateReady, api.Who{})
			return err
		})
	case "weight":
		text := []string{"20%", "0%", "58"}[s.a%3]
		w.ask(oracle.Ask{Backend: v.backend, Addr: a, Kind: api.OverrideWeight, Value: text}, who, func(ctx context.Context) error {
			_, err := w.agent.SetWeight(ctx, v.backend, a.String(), text, who)
			return err
		})
	case "stop address":
		w.ask(oracle.Ask{Addr: netip.AddrPortFrom(a.Addr(), 0), Kind: api.OverrideState, Value: api.StateMaint}, who, func(ctx context.Context) error {
			_, err := w.agent.SetAddressState(ctx, a.Addr(), api.StateMaint, who)
			return err
		})
	case "start address":
		w.unask(oracle.Ask{Addr: netip.AddrPortFrom(a.Addr(), 0), Kind: api.OverrideState}, func(ctx context.Context) error {
			_, err := w.agent.SetAddressState(ctx, a.Addr(), api.StateReady, api.Who{})
			return err
		})
	case "add server":
		extra := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 50, 0, byte(1 + s.c%3)}), 7000)
		w.oracleDo(func(o *oracle.Oracle) { o.MayList(v.backend, extra) })
		w.ask(oracle.Ask{Backend: v.backend, Addr: extra, Kind: api.OverrideServer}, who, func(ctx context.Context) error {
			_, err := w.agent.AddServer(ctx, v.backend, extra, "extra", "", who)
			return err
		})
	case "remove server":
		if len(w.added) > 0 {
			ask := w.added[s.c%len(w.added)]
			w.unask(ask, func(ctx context.Context) error {
				_, err := w.agent.RemoveServer(ctx, ask.Backend, ask.Addr.String())
				return err
			})
		}
	case "give back":
		w.giveBack(s)
	case "pause":
		w.pause([]string{"", v.backend}[s.c%2], time.Duration(30+s.c%60)*time.Second, s.b%2 == 0)
	case "resume":
		backend := []string{"", v.backend}[s.c%2]
		w.oracleDo(func(o *oracle.Oracle) { o.Resumed(time.Now(), backend) })
		w.call(func(ctx context.Context) error { return w.agent.Resume(ctx, backend) })
		w.oracleDo(func(o *oracle.Oracle) { o.Resumed(time.Now(), backend) })
	case "accept":
		if w.life.dead.Load() {
			return true
		}
		for _, b := range w.agent.Status().Backends {
			for _, x := range b.Acceptable() {
				if b.Name == v.backend {
					w.accept(shown{b.Name, x.ID, addresses(x.Endpoints)})
					return true
				}
			}
		}
	default:
		return false
	}
	return true
}

// giveBack gives a slot back that somebody else took out of service.
func (w *world) giveBack(s step) {
	if w.life.dead.Load() {
		return
	}
	for _, b := range w.agent.Status().Backends {
		for _, slot := range b.Slots {
			a, err := netip.ParseAddrPort(slot.Endpoint)
			if err != nil || !slices.ContainsFunc(slot.Instances, func(in api.InstanceSlot) bool { return in.HeldBy == "external" }) {
				continue
			}
			ask := oracle.Ask{Backend: b.Name, Addr: a, Kind: api.OverrideState}
			w.oracleDo(func(o *oracle.Oracle) { o.Ended(time.Now(), ask); o.Doubtful(ask) })
			acked, _ := w.call(func(ctx context.Context) error {
				_, err := w.agent.SetState(ctx, b.Name, slot.Endpoint, api.StateReady, api.Who{})
				return err
			})
			if acked {
				w.oracleDo(func(o *oracle.Oracle) { o.Ended(time.Now(), ask); o.GivenBack(time.Now(), b.Name, a) })
			}
			return
		}
	}
}

func (w *world) pause(backend string, d time.Duration, hard bool) {
	until := time.Now().Add(d)
	acked, doubt := w.call(func(ctx context.Context) error {
		_, err := w.agent.Pause(ctx, backend, hard, api.Who{By: "sim", For: d})
		return err
	})
	w.oracleDo(func(o *oracle.Oracle) {
		switch {
		case acked:
			o.Paused(time.Now(), backend, until)
		case doubt:
			o.Resumed(time.Now(), backend)
		}
	})
}

// doConfigure changes the agent's own configuration and has it read again.
func (w *world) doConfigure(s step) bool {
	before := w.conf
	c := &w.conf
	c.backends = slices.Clone(c.backends)
	c.absent, c.feeds, c.instances = maps.Clone(c.absent), maps.Clone(c.feeds), maps.Clone(c.instances)
	c.renamed, c.elsewhere = maps.Clone(c.renamed), maps.Clone(c.elsewhere)
	i := s.a % len(c.backends)
	b := &c.backends[i]
	switch s.verb {
	case "other rules":
		b.Hold = []time.Duration{0, 8 * time.Second, 20 * time.Second, -1}[s.b%4]
		b.EmptyHold = []time.Duration{0, 20 * time.Second, 45 * time.Second, -1}[s.c%4]
	case "other leave":
		b.Leave = !b.Leave
	case "deny":
		c.deny = !c.deny
	case "prefix":
		b.Prefix = !b.Prefix
	case "other dynamic":
		b.Dynamic = !b.Dynamic
	case "other repair":
		b.Repair = !b.Repair
	case "new question":
		c.question++
	case "other state file":
		c.noFiles = !c.noFiles
	case "other template":
		if c.template++; w.site != nil {
			w.site.writeTemplate(c.template)
		}
	case "other reload":
		c.noReload = !c.noReload
	case "other key":
		w.otherKey(s)
	case "without feed":
		if len(b.Feeds) > 1 && len(c.feeds) == 0 {
			c.feeds[[2]int{i, s.b % len(b.Feeds)}] = true
		}
	case "all feeds":
		clear(c.feeds)
	case "without backend":
		if len(c.backends) > 1 && len(c.absent) == 0 {
			c.absent[i] = true
		}
	case "all backends":
		clear(c.absent)
	case "without instance":
		if len(w.proxies) > 1 && len(c.instances) == 0 {
			c.instances[s.b%len(w.proxies)] = true
		}
	case "all instances":
		clear(c.instances)
	case "other name":
		p := w.proxies[s.b%len(w.proxies)]
		c.renamed[p.index] = !c.renamed[p.index]
	case "other socket":
		p := w.proxies[s.b%len(w.proxies)]
		c.elsewhere[p.index] = !c.elsewhere[p.index]
	case "other timeout":
		c.reached++
	default:
		w.conf = before
		return false
	}
	if !w.life.dead.Load() {
		w.reconfigure(before)
	}
	return true
}

// doAgent ends the agent, or keeps it from storing anything.
func (w *world) doAgent(s step) bool {
	switch s.verb {
	case "kill":
		w.reap()
		time.Sleep(time.Duration(s.a%5000) * time.Millisecond)
		w.start()
	case "found running":
		w.reap()
		w.proxies[s.a%len(w.proxies)].refill(s)
		w.start()
	case "kill soon":
		w.fuse.Store(int64(1 + s.a%30))
	case "stop agent":
		w.unbreak()
		w.stopAgent()
		time.Sleep(time.Duration(s.a%5000) * time.Millisecond)
		w.start()
	case "hand while down":
		w.pass(time.Duration(s.c%2) * 30 * time.Second)
		if s.b%2 == 0 {
			w.unbreak()
			w.stopAgent()
		} else {
			w.reap()
		}
		w.proxies[s.a%len(w.proxies)].takeOut(s)
		w.start()
	case "long down":
		w.unbreak()
		w.stopAgent()
		time.Sleep(26 * time.Hour)
		w.forgetOld()
		w.start()
	case "clock jumps":
		w.reap()
		w.shiftClock(time.Duration(s.a%5-2) * time.Hour)
		w.start()
	case "disk fails":
		// a folder that everybody may write to is none to keep anything in
		if !w.life.dead.Load() && w.slow.Load() == 0 {
			w.broken = true
			w.oracleDo(func(o *oracle.Oracle) { o.Unstored(time.Now()) })
			if err := os.Chmod(w.state, 0o777); err != nil {
				w.t.Fatal(err)
			}
		}
	case "disk slow":
		if !w.life.dead.Load() && !w.broken {
			w.slow.Store(int64(5+s.a%120) * int64(time.Second))
			w.oracleDo(func(o *oracle.Oracle) { o.Unstored(time.Now()) })
		}
	case "disk works":
		w.unbreak()
	default:
		return false
	}
	return true
}

var stamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// shiftClock has what was stored be of another time: the wall clock was wrong when it was.
func (w *world) shiftClock(d time.Duration) {
	entries, err := os.ReadDir(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(w.state, e.Name())
		text, err := os.ReadFile(path)
		if err == nil {
			text = stamp.ReplaceAllFunc(text, func(at []byte) []byte {
				t, err := time.Parse(time.RFC3339Nano, string(at))
				if err != nil || t.Year() < 1999 {
					return at
				}
				return []byte(t.Add(d).Format(time.RFC3339Nano))
			})
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.oracleDo(func(o *oracle.Oracle) { o.ClockJumped(time.Now()) })
}

// forgetOld tells the oracle of what may have ended in a day.
func (w *world) forgetOld() {
	w.oracleDo(func(o *oracle.Oracle) { o.DayPassed(time.Now()) })
}
