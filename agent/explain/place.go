package explain

import (
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// Place notes whether the address is in force, and which slot holds it.
func (x *Address) Place(status api.BackendStatus, addr netip.AddrPort) {
	if i := slices.IndexFunc(status.Endpoints, func(e discovery.Endpoint) bool { return e.Addr == addr }); i >= 0 {
		e := status.Endpoints[i]
		x.InForce, x.Name = &e, e.Name
	}
	switch h, t := status.Hold, status.Turnover; {
	case h != nil && h.Kind != api.HoldTakeover:
		x.Held = slices.Contains(h.WouldRemove, x.Address)
	case t != nil:
		x.Held = slices.Contains(t.Leaving, x.Address)
	}
	x.Kept = keptAddress(status, x.Address)
	for _, s := range status.Slots {
		if x.Address != "" && s.Endpoint == x.Address {
			x.Slot = s.Name
			if s.State == api.HoldTakeover {
				x.NoSlot = api.HoldTakeover
			}
			return
		}
	}
	switch {
	case x.Slot != "":
	case x.InForce == nil:
		x.NoSlot = "unwanted"
	case len(status.Slots) == 0:
		x.NoSlot = "unseen"
	default:
		x.NoSlot = "overflow"
	}
}

// keptAddress says why an address is kept; nil if it is not.
func keptAddress(status api.BackendStatus, address string) *api.KeptAddress {
	for _, s := range status.Kept {
		if slices.Contains(s.Endpoints, address) {
			return &api.KeptAddress{
				ID: s.ID, Source: s.Source, Part: s.Part, Reason: s.Reason, Since: s.Since, Yielded: slices.Contains(s.Yielded, address),
			}
		}
	}
	return nil
}
