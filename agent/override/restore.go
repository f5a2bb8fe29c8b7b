package override

import (
	"net/netip"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// Restore returns the stored overrides that could have been asked for.
func Restore(stored []api.Override) Set {
	out, n := Set{}, map[bool]int{}
	for _, o := range stored {
		if n[o.Limited]++; isValid(&o) && n[o.Limited] <= quotaOf(o.Limited) {
			o.By, o.Reason, o.Name = discovery.Printable(o.By, 100), discovery.Printable(o.Reason, 200), discovery.Printable(o.Name, 100)
			out[KeyOf(&o)] = &o
		}
	}
	return out
}

// isValid reports whether o could have been asked for.
func isValid(o *api.Override) bool {
	addr := KeyOf(o).Addr
	if o.Backend == "" {
		addr = netip.AddrPortFrom(addr.Addr(), 1)
	}
	if discovery.Check(addr) != "" {
		return false
	}
	switch o.Kind {
	case api.OverrideState:
		return o.State == api.StateDrain || o.State == api.StateMaint
	case api.OverrideWeight:
		return api.CheckWeight(o.Weight) == nil
	case api.OverrideServer:
		return o.Backend != "" && (o.Weight == "" || api.CheckWeight(o.Weight) == nil)
	}
	return false
}
