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

// IDs remembers which addresses an id stood for when it was shown, oldest first. The zero value
// remembers none.
type IDs []named

type named struct {
	id    string
	addrs []netip.AddrPort
}

// Find returns the addresses that id stood for; ok is false if there is no such id.
func (l IDs) Find(id string) (addrs []netip.AddrPort, ok bool) {
	i := slices.IndexFunc(l, func(n named) bool { return n.id == id })
	if i < 0 {
		return nil, false
	}
	return l[i].addrs, true
}

// Note remembers that id stands for addrs, if these are any.
func (l *IDs) Note(id string, addrs []netip.AddrPort) {
	if _, ok := l.Find(id); ok || len(addrs) == 0 {
		return
	}
	if len(*l) == remembered {
		*l = slices.Delete(*l, 0, 1)
	}
	*l = append(*l, named{id, addrs})
}

// note remembers what is held now under its id.
func (g *Guard) note() {
	gone := g.WouldRemove()
	g.ids.Note(ID(holdPrefix, gone), gone)
}

// Accept puts into force that those go that were held when id was shown and are still
// missing, and returns them, sorted. What is back stays, and what went missing later
// stays held. ok is false if there is no such id.
func (g *Guard) Accept(id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	shown, ok := g.ids.Find(id)
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
	g.past.forget(g.absent(addrs))
	return gone
}

// absent are those of addrs that are not in force, or not fit to serve: what is there is not
// known to be gone, whenever somebody took it for that.
func (g *Guard) absent(addrs []netip.AddrPort) []netip.AddrPort {
	there := discovery.ByAddr(g.published)
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { e, ok := there[a]; return ok && Present(e) })
}
