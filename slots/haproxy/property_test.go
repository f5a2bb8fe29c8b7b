package haproxy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// Whatever is asked for, in whatever weather: a change is there when it is read
// back or is refused, and no slot is ready at an address that was not asked for.
func TestOutcomesAreTrue(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				f := haproxytest.NewFake(t, version, haproxytest.Backend{Name: "web", Slots: 6}, haproxytest.Backend{Name: "hash", Slots: 2, Balance: "source"})
				c := client(t, f.Socket)
				asked := map[string]map[netip.AddrPort]bool{}
				for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
					v, err := c.View(t.Context(), []string{"web", "hash"}, false)
					if err != nil {
						rt.Fatal(err)
					}
					f.SetDelay(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "delay")) * time.Microsecond)
					for _, b := range []string{"web", "hash"} {
						v.Servers[b] = slots.Own(v.Servers[b], b)
					}
					changes := drawChanges(rt, v)
					for _, ch := range changes {
						if asked[ch.Slot] == nil {
							asked[ch.Slot] = map[netip.AddrPort]bool{}
						}
						asked[ch.Slot][ch.Addr] = true
					}
					out, err := c.Apply(t.Context(), v.Process, changes)
					if err != nil {
						rt.Fatal(err)
					}
					checkOutcome(rt, changes, out)
					after, err := c.View(t.Context(), []string{"web", "hash"}, false)
					if err != nil {
						rt.Fatal(err)
					}
					for slot, at := range served(append(after.Servers["web"], after.Servers["hash"]...)) {
						if !asked[slot][netip.MustParseAddrPort(at)] {
							rt.Errorf("%s is ready at %s, which nobody asked for", slot, at)
						}
					}
				}
			})
		})
	}
}

// drawChanges makes changes of the kinds that an agent makes.
func drawChanges(rt *rapid.T, v slots.View) []slots.Change {
	var list []slots.Change
	for _, backend := range []string{"web", "hash"} {
		for i, s := range v.Servers[backend] {
			ch := slots.Change{Backend: backend, Slot: s.Name, From: s}
			if s.Dynamic && rapid.Bool().Draw(rt, "remove") {
				list = append(list, slots.Change{Backend: backend, Slot: s.Name, Kind: slots.Remove, From: s})
				continue
			}
			switch rapid.IntRange(0, 4).Draw(rt, fmt.Sprintf("%s %d", backend, i)) {
			case 0:
				continue
			case 1:
				ch = fill(backend, s, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(rt, "host"))}), 80))
			case 2:
				ch.Class, ch.SetClass = slots.Drain, true
			case 3:
				ch.Class, ch.SetClass = slots.Maint, true
			case 4:
				ch.Weight = rapid.IntRange(1, 256).Draw(rt, "weight")
			}
			list = append(list, ch)
		}
		for n := 7; n < 9; n++ {
			if rapid.IntRange(0, 2).Draw(rt, "add") == 0 && !slices.ContainsFunc(list, func(ch slots.Change) bool { return ch.Slot == fmt.Sprint(backend, n) }) {
				at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(rt, "host"))}), 80)
				list = append(list, slots.Change{Backend: backend, Slot: fmt.Sprint(backend, n), Kind: slots.Add, Addr: at, Weight: 5, Class: slots.Ready, SetClass: true})
			}
		}
	}
	return list
}

func checkOutcome(rt *rapid.T, changes []slots.Change, out slots.Outcome) {
	refused := map[string]bool{}
	for _, r := range out.Refusals {
		refused[r.Change.Slot] = true
	}
	for _, ch := range changes {
		exists := slices.ContainsFunc(out.View.Servers[ch.Backend], func(s slots.Server) bool { return s.Name == ch.Slot })
		if !refused[ch.Slot] && exists != (ch.Kind != slots.Remove) {
			rt.Errorf("%+v: there is %v, and it was not refused", ch, exists)
		}
		if ch.Kind == slots.Remove && ch.From.Disabled && !refused[ch.Slot] {
			rt.Errorf("%+v removes what the configuration has", ch)
		}
		for _, s := range out.View.Servers[ch.Backend] {
			if s.Name != ch.Slot || refused[ch.Slot] {
				continue
			}
			if ch.Addr.IsValid() && s.Addr != ch.Addr || ch.SetClass && s.Class != ch.Class || ch.Weight != 0 && s.Weight != ch.Weight {
				rt.Errorf("%+v came to %+v and was not refused", ch, s)
			}
		}
	}
}
