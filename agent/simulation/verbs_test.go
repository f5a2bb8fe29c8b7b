package simulation

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// do takes one step.
func (w *world) do(s step) {
	for _, do := range []func(step) bool{w.doSource, w.doPart, w.doRights, w.doInstance, w.doTemplate, w.doReload, w.doHand, w.doOperator, w.doConfigure, w.doAgent} {
		if do(s) {
			return
		}
	}
	w.t.Fatalf("no verb %q", s.verb)
}

func (w *world) service(s step) *service {
	list := w.services[s.a%len(w.services)]
	return list[s.b%len(list)]
}

// doSource changes what there is.
func (w *world) doSource(s step) bool {
	v := w.service(s)
	p := v.parts[s.c%len(v.parts)]
	a := p.pool[(s.c/16)%len(p.pool)]
	state := func(to discovery.State) {
		v.change(func() {
			if _, ok := p.there[a]; ok {
				p.there[a] = to
			}
		})
	}
	switch s.verb {
	case "join":
		v.change(func() { p.there[a] = discovery.Ready })
	case "leave":
		v.change(func() { delete(p.there, a) })
	case "replace":
		v.change(func() {
			old := slices.Collect(maps.Keys(p.there))
			clear(p.there)
			for _, n := range p.pool {
				if !slices.Contains(old, n) {
					p.there[n] = discovery.Ready
				}
			}
		})
	case "lose most":
		v.change(func() {
			for i, q := range v.parts {
				for n, b := range q.pool {
					if i > 0 || n > 0 {
						delete(q.there, b)
					}
				}
			}
		})
	case "lose all":
		v.change(func() {
			for _, q := range v.parts {
				clear(q.there)
			}
		})
	case "come back":
		v.change(func() {
			for i, q := range v.parts {
				for n := range v.Full {
					if i > 0 || !v.Parent || v.Parts == 1 {
						q.there[q.pool[n]] = discovery.Ready
					}
				}
			}
		})
	case "down":
		state(discovery.Down)
	case "maintenance":
		state(discovery.Drain)
	case "reweigh":
		v.change(func() { p.weights[a] = 1 + s.c%300 })
	default:
		return false
	}
	return true
}

// doPart changes what a source says of it.
func (w *world) doPart(s step) bool {
	v := w.service(s)
	p := v.parts[s.c%len(v.parts)]
	switch s.verb {
	case "unknown part":
		v.change(func() { p.state = discovery.Unknown })
	case "partial part":
		v.change(func() { p.state = discovery.Partial })
	case "lie empty":
		v.change(func() { p.lie = "empty" })
	case "lie short":
		v.change(func() { p.lie = "short" })
	case "confirm otherwise":
		v.change(func() { p.lie, p.confirm = "empty", true })
	case "drop part":
		v.change(func() { p.dropped = len(v.parts) > 1 && (!v.Parent || p != v.parts[0]) })
	case "silent":
		v.change(func() { v.silent = true })
	case "fail":
		v.change(func() { v.failing = true })
	case "heal source":
		v.heal()
	default:
		return false
	}
	return true
}

// doInstance has something happen to an HAProxy.
func (w *world) doInstance(s step) bool {
	p := w.proxies[s.a%len(w.proxies)]
	switch s.verb {
	case "restart":
		p.restart(true)
	case "restart empty":
		p.restart(false)
	case "refilled":
		p.refill(s)
	case "another machine":
		p.fake.SetNode(fmt.Sprintf("host-%s-%d", p.name, s.b%3))
		p.restart(s.c%2 == 0)
	case "hang":
		if p.resume == nil {
			p.fault("hang")
			p.resume = p.fake.Hang()
		}
	case "away":
		p.fault("away")
		p.away.Store(true)
	case "cut":
		p.fault("cut")
		p.fake.CutAnswers(s.b % 3000)
	case "lose addresses":
		p.fault("lose")
		p.fake.LoseAddrs(1 + s.b%5)
	case "late addresses":
		p.fault("late")
		p.fake.SetDelay(time.Duration(1+s.b%200) * time.Millisecond)
	case "operator level":
		p.fault("level")
		p.fake.SetLevel([]string{"operator", "user"}[s.b%2])
	case "heal instance":
		p.heal()
	default:
		return false
	}
	return true
}

// doTemplate has somebody reload an HAProxy with another configuration.
func (w *world) doTemplate(s step) bool {
	p := w.proxies[s.a%len(w.proxies)]
	name := backendName(s.b % len(w.services))
	i := slices.IndexFunc(p.backends, func(b haproxytest.Backend) bool { return b.Name == name })
	change := func(do func(*haproxytest.Backend)) {
		if i >= 0 {
			p.backends = slices.Clone(p.backends)
			do(&p.backends[i])
		}
	}
	switch s.verb {
	case "reload grown":
		change(func(b *haproxytest.Backend) { b.Slots += 1 + s.c%6 })
	case "reload shrunk":
		change(func(b *haproxytest.Backend) { b.Slots = max(1, b.Slots-1-s.c%8) })
	case "rename":
		change(func(b *haproxytest.Backend) { b.Prefix = []string{"srv", "web", "srv-1-", "a.b:c_"}[s.c%4] })
	case "renumber":
		change(func(b *haproxytest.Backend) { b.After = []int{0, 4, 100}[s.c%3] })
	case "no backend":
		if i >= 0 && len(p.backends) > 1 {
			p.backends = slices.Delete(slices.Clone(p.backends), i, i+1)
		}
	case "backend back":
		p.standard()
	default:
		return false
	}
	p.restart(s.c%2 == 0)
	return true
}

// standard gives a proxy the configuration that it began with.
func (p *proxy) standard() {
	p.backends = nil
	for j := range p.w.services {
		slots := p.w.plan.setting.Slots
		if p.w.plan.live {
			slots = 40 // in the end there is room for all
		}
		p.backends = append(p.backends, p.w.plan.setting.template(j, slots))
	}
}

// takeOut has somebody take a slot out of service that serves.
func (p *proxy) takeOut(s step) {
	for n := range p.backends {
		b := p.backends[(s.b+n)%len(p.backends)].Name
		servers := slices.DeleteFunc(p.fake.Servers(b), func(s haproxytest.Server) bool { return s.Name == "static1" || s.State != oracle.Ready })
		if len(servers) > 0 {
			one := servers[s.c%len(servers)]
			p.hand(b, one.Name, "set server %s/%s state %s", b, one.Name, []string{"maint", "drain"}[(s.c/8)%2])
			return
		}
	}
}

// doHand has somebody else change a server.
func (w *world) doHand(s step) bool {
	if s.verb == "take out" {
		w.pass(time.Duration(s.c%2) * 30 * time.Second) // until then nobody can know that it is in service
		w.proxies[s.a%len(w.proxies)].takeOut(s)
		return true
	}
	p := w.proxies[s.a%len(w.proxies)]
	b := p.backends[s.b%len(p.backends)].Name
	servers := p.fake.Servers(b)
	servers = slices.DeleteFunc(servers, func(s haproxytest.Server) bool { return s.Name == "static1" })
	if len(servers) == 0 {
		return strings.HasPrefix(s.verb, "sessions") || strings.HasPrefix(s.verb, "hand ") || strings.HasPrefix(s.verb, "agent ")
	}
	one := servers[s.c%min(len(servers), 6)]
	switch s.verb {
	case "hand state":
		p.hand(b, one.Name, "set server %s/%s state %s", b, one.Name, []string{"maint", "drain", "ready"}[(s.c/8)%3])
	case "hand address":
		p.hand(b, one.Name, "set server %s/%s addr 127.99.0.1 port %d", b, one.Name, 9000+s.c%9)
	case "hand weight":
		p.hand(b, one.Name, "set server %s/%s weight %d", b, one.Name, 1+s.c%256)
	case "agent weight":
		for i, one := range servers[:min(len(servers), 6)] {
			p.agentSays(b, one.Name, fmt.Sprintf("%d%%", 10+(s.c+i*17)%90))
		}
	case "agent state":
		p.agentSays(b, one.Name, []string{"maint", "drain", "ready", "ready"}[(s.c/8)%4])
	case "sessions":
		if addr, _ := netip.ParseAddrPort(one.Addr); one.State != oracle.Maint && !slots.IsPlaceholder(addr, netip.AddrPort{}) { // else none begins there
			p.fake.SetSessions(b, one.Name, 1+s.c%5)
		}
	case "sessions end":
		for _, one := range servers {
			p.fake.SetSessions(b, one.Name, 0)
		}
	default:
		return false
	}
	return true
}
