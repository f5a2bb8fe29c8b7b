package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	holdPrefix = "h"
	// remembered bounds the ids that can be accepted of one backend: what was shown
	// longest ago is forgotten first.
	remembered = 16
)

// ID names a set of addresses for people to type: prefix and six hexadecimal digits.
// Equal sets have equal ids.
func ID(prefix string, addrs []netip.AddrPort) string {
	sum := sha256.New()
	for _, a := range slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare) {
		sum.Write([]byte(a.String() + "\n"))
	}
	return prefix + hex.EncodeToString(sum.Sum(nil)[:3])
}

// ids remembers which addresses an id stood for when it was shown, oldest first.
type ids []named

type named struct {
	id    string
	addrs []netip.AddrPort
}

func (l ids) find(id string) ([]netip.AddrPort, bool) {
	i := slices.IndexFunc(l, func(n named) bool { return n.id == id })
	if i < 0 {
		return nil, false
	}
	return l[i].addrs, true
}

// note remembers what is held now under its id.
func (g *Guard) note() {
	gone := g.WouldRemove()
	id := ID(holdPrefix, gone)
	if _, ok := g.ids.find(id); ok || len(gone) == 0 {
		return
	}
	if len(g.ids) == remembered {
		g.ids = slices.Delete(g.ids, 0, 1)
	}
	g.ids = append(g.ids, named{id, gone})
}

// Accept puts into force that those go that were held when id was shown and are still
// missing, and returns them, sorted. What is back stays, and what went missing later
// stays held. ok is false if there is no such id.
func (g *Guard) Accept(id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	shown, ok := g.ids.find(id)
	if !ok {
		return nil, false
	}
	return g.AcceptThese(shown, now), true
}

// Withdraw takes these out of what is in force, where that is a restored set and nothing was
// offered yet.
func (g *Guard) Withdraw(addrs []netip.AddrPort) {
	g.publish(slices.DeleteFunc(slices.Clone(g.published), func(e discovery.Endpoint) bool { return slices.Contains(addrs, e.Addr) }))
	g.past.forget(addrs)
}

// AcceptThese is [Guard.Accept] of addresses.
func (g *Guard) AcceptThese(addrs []netip.AddrPort, now time.Time) (gone []netip.AddrPort) {
	held := g.WouldRemove()
	gone = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return !slices.Contains(held, a) })
	switch {
	case len(gone) == 0:
	case g.hold != nil:
		g.release(gone, now)
	case g.unhealthy != nil:
		g.publish(merge(g.published, g.unhealthy.candidate, gone))
		g.past.forget(gone)
		if len(gone) == len(held) {
			g.unhealthy = nil
		}
	}
	g.past.forget(addrs)
	return gone
}
