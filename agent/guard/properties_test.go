package guard

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
)

func present(eps map[netip.AddrPort]discovery.Endpoint) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for a := range eps {
		out[a] = true
	}
	return out
}

// The guard never lets more go at once than it may, whatever it is told; it never waits
// with what comes; and what it holds it lets go in the end.
func TestGuardProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		g := New(Rules{})
		confirmed := map[netip.AddrPort]int{} // strong reads in a row that lacked it
		established := map[netip.AddrPort]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			before := discovery.ByAddr(g.Published())
			base := g.largest(now)
			var o Offer
			for port := 80; port < 100; port++ {
				switch rapid.IntRange(0, 5).Draw(t, "port") {
				case 0, 1:
				case 2:
					if o.Kept == nil {
						o.Kept = map[netip.AddrPort]bool{}
					}
					o.Kept[addr(port)] = true
					fallthrough
				default:
					o.Set = append(o.Set, eps(port)...)
				}
			}
			there := discovery.ByAddr(o.Set)
			if rapid.Bool().Draw(t, "confirm") {
				g.Asked(now)
				o.Confirms = lacksAllBut(present(there))
			}
			if rapid.IntRange(0, 9).Draw(t, "silent") == 0 {
				o.Silent = func(netip.AddrPort) bool { return true }
			}
			for port := 80; port < 100; port++ {
				if _, ok := there[addr(port)]; ok {
					confirmed[addr(port)] = 0
				} else if o.Confirms != nil {
					confirmed[addr(port)]++
				}
			}
			g.Offer(o, now)
			after := discovery.ByAddr(g.Published())
			for a := range there {
				if _, ok := after[a]; !ok {
					t.Fatalf("%s is listed and not in force", a)
				}
			}
			lost, unconfirmed := 0, 0
			for a := range before {
				if _, ok := after[a]; !ok {
					lost++
					if established[a] && confirmed[a] < Confirmations {
						unconfirmed++
					}
				}
			}
			missing := 0
			for _, a := range base {
				if _, ok := there[a]; !ok {
					missing++
				}
			}
			if unconfirmed > 0 && missing >= Smallest && 2*missing > len(base) {
				t.Fatalf("%d of %d gone, unconfirmed; %d of the largest set are missing", unconfirmed, lost, missing)
			}
			if len(after) == 0 && len(before) > 0 && unconfirmed > 0 {
				t.Fatal("emptied, unconfirmed")
			}
			was := established
			established = map[netip.AddrPort]bool{}
			for a := range after {
				established[a] = was[a] || g.Kind() == ""
			}
		}
		end := span(80, 79+rapid.IntRange(0, 20).Draw(t, "in the end"))
		there := set(end...)
		for range 200 {
			if at := g.ConfirmAt(now); at.After(now) {
				now = at
			} else {
				now = now.Add(time.Second)
			}
			g.Asked(now)
			g.Offer(Offer{Set: eps(end...), Confirms: lacksAllBut(there)}, now)
			g.EndTurnover(false, now)
		}
		if len(g.Published()) != len(end) {
			t.Fatalf("%d in force in the end, want %d", len(g.Published()), len(end))
		}
	})
}
