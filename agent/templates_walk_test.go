package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/slots"
)

// TestWalkOverConfigurations changes the configuration of two HAProxys at random, while
// endpoints come and go: templates are renamed, grown, shrunk, removed and doubled, with
// ranges and prefixes of every form, of host names and of plain addresses; another
// process answers at the socket; servers may be added or not; and the agent's own
// configuration changes. The agent lives, and 2 s after the last change every endpoint
// that can serve does, nothing else does, and what cannot is not in sync.
func TestWalkOverConfigurations(t *testing.T) {
	t.Parallel()
	seeds := 40
	if testing.Short() {
		seeds = 15
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { walkTemplates(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func walkTemplates(t *testing.T, random *rand.Rand) {
	a, b := newFake("a", "web", 8), newFake("b", "web", 8)
	inWorld(t, func(w *world) {
		conf := &w.opts.Backends[0]
		conf.Prefix = ""
		conf.Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		ports := span(80, 84)
		w.source.list(ports...)
		var did []string
		for round := range 6 {
			for range 1 + random.IntN(4) {
				did = append(did, w.stepTemplates(random, &ports))
				if random.IntN(3) > 0 {
					w.pass(time.Duration(random.IntN(1500)) * time.Millisecond)
				}
			}
			w.pass(2 * time.Second)
			for _, c := range w.conns {
				if why := w.lacks(c, ports); why != "" {
					t.Fatalf("round %d, %s: %s\nlists %v, slots: %q, dynamic %v\nshows %v\nstatus %+v\nafter %s", round, c.name, why, ports,
						w.opts.Backends[0].Prefix, w.opts.Backends[0].Dynamic, c.servers["web"], w.status().Instances, strings.Join(did, "\n"))
				}
			}
		}
	}, a, b)
}

// stepTemplates changes one thing, and says which.
func (w *world) stepTemplates(random *rand.Rand, ports *[]int) string {
	switch random.IntN(6) {
	case 0:
		*ports = nil
		for range 1 + random.IntN(9) {
			*ports = append(*ports, 80+random.IntN(20))
		}
		slices.Sort(*ports)
		*ports = slices.Compact(*ports)
		w.source.list(*ports...)
		return fmt.Sprint("lists ", *ports)
	case 1:
		next := w.opts
		next.Backends = slices.Clone(next.Backends)
		b := &next.Backends[0]
		b.Dynamic = random.IntN(2) == 0
		b.Prefix = []string{"", "", "web", "web1", "srv-"}[random.IntN(5)]
		if err := w.agent.Reconfigure(context.Background(), next); err != nil {
			return "a change is refused"
		}
		w.opts = next
		w.source.list(*ports...) // for a watch that is new
		return fmt.Sprintf("slots: %q, dynamic %v", b.Prefix, b.Dynamic)
	default:
		c := w.conns[random.IntN(len(w.conns))]
		return c.configure(random)
	}
}

// configure gives the fake another configuration, and with it another process.
func (f *fakeConn) configure(random *rand.Rand) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process.Pid++
	if random.IntN(4) == 0 {
		f.process.Node = fmt.Sprint("host", random.IntN(3))
	}
	fqdn := []string{"slot.invalid", "slot.invalid", ""}[random.IntN(3)]
	template := func() []slots.Server {
		r := slots.Range{Prefix: []string{"web", "web", "srv-", "web1", "a.b:c_"}[random.IntN(5)], First: []int{1, 1, 0, 5, 101}[random.IntN(5)]}
		r.Last = r.First + random.IntN(12)
		if strings.HasSuffix(r.Prefix, "1") { // one slot alone cannot be told from another prefix
			r.Last++
		}
		return templateOf(r, fqdn)
	}
	switch random.IntN(8) {
	case 0:
		delete(f.servers, "web")
		return f.name + ": no backend"
	case 1:
		f.servers["web"] = []slots.Server{{Name: "static1", Addr: addr(9000), Class: slots.Ready, Weight: 1, Initial: 1}}
		return f.name + ": no template"
	case 2:
		f.servers["web"] = append(template(), templateOf(slots.Range{Prefix: "other", First: 1, Last: 3}, fqdn)...)
	default:
		f.servers["web"] = template()
	}
	if random.IntN(4) == 0 {
		f.servers["web"] = append(f.servers["web"], slots.Server{Name: "static1", Addr: addr(9000), Class: slots.Ready, Weight: 1, Initial: 1})
	}
	if i := random.IntN(3 * len(f.servers["web"])); i < len(f.servers["web"]) && f.servers["web"][i].Disabled {
		f.servers["web"][i].Addr = netip.AddrPort{} // a slot that takes no address
	}
	return f.name + ": " + serverNames(f.servers["web"])
}

func serverNames(servers []slots.Server) string {
	var out []string
	for _, s := range servers {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

func templateOf(r slots.Range, fqdn string) []slots.Server {
	var out []slots.Server
	for n := r.First; n <= r.Last; n++ {
		out = append(out, slots.Server{Name: r.Name(n), Addr: parked, Weight: 100, Initial: 100, Disabled: true, FQDN: fqdn})
	}
	return out
}

// lacks says what is wrong with an instance that was given time; "" if nothing is. What
// it serves is all that is listed or as much as it has slots for, or it is not in sync.
func (w *world) lacks(c *fakeConn, ports []int) string {
	status := w.status()
	inSync := false
	for _, s := range status.Instances {
		inSync = inSync || s.Name == c.name && s.InSync
	}
	conf := w.opts.Backends[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	serves, room := map[int]bool{}, map[string]int{}
	for _, s := range c.servers["web"] {
		p := conf.Prefix
		if p == "" {
			p = prefixOfSlot(s.Name, c.servers["web"])
		} else if _, ok := slots.Number(s.Name, p); !ok {
			p = ""
		}
		if s.Disabled && p != "" {
			n := room[p]
			if s.Addr.IsValid() {
				n++
			}
			room[p] = n
		}
		if s.Class != slots.Ready || s.Name == "static1" || p == "" && conf.Prefix != "" { // nobody's slots
			continue
		}
		port := int(s.Addr.Port())
		if !slices.Contains(ports, port) {
			return fmt.Sprintf("%s serves %s, which nobody lists", s.Name, s.Addr)
		}
		if serves[port] {
			return fmt.Sprint("twice: ", port)
		}
		serves[port] = true
	}
	prefix, certain := conf.Prefix, true
	if prefix == "" {
		for p := range room {
			prefix = p
		}
		certain = len(room) == 1
	}
	switch {
	case len(serves) == len(ports):
		return ""
	case certain && conf.Dynamic && room[prefix] > 0:
		return fmt.Sprintf("serves %d of %d although servers may be added", len(serves), len(ports))
	case certain && len(serves) < min(len(ports), room[prefix]):
		return fmt.Sprintf("serves %d of %d in %d slots", len(serves), len(ports), room[prefix])
	case inSync && (room[prefix] == 0 || !certain && len(serves) == 0):
		return fmt.Sprintf("serves %d of %d without a slot, and is in sync", len(serves), len(ports))
	}
	return ""
}

// prefixOfSlot is the prefix that a walk gave to a template.
func prefixOfSlot(name string, servers []slots.Server) string {
	for _, p := range []string{"web1", "web", "srv-", "a.b:c_", "other"} {
		all := true
		for _, s := range servers {
			if strings.HasPrefix(s.Name, "web") && s.Disabled {
				all = all && len(s.Name) > len(p) && strings.HasPrefix(s.Name, p)
			}
		}
		if _, ok := slots.Number(name, p); ok && (all || p != "web1") {
			return p
		}
	}
	return ""
}
