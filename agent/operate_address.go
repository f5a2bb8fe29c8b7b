package agent

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// SetAddressState does to every endpoint with this address, on all backends, now and
// later, what SetState does to one, and returns those that there are. It fails with
// [api.ErrOverruled] where one of them is started and held by an override of its own.
func (a *Agent) SetAddressState(ctx context.Context, ip netip.Addr, state string, who api.Who) ([]api.ServerRef, error) {
	if err := checkState(state); err != nil {
		return nil, err
	}
	return a.operateAddress(ctx, ip, func(address string, now time.Time) error {
		if err := a.setState(api.Override{Address: address, State: state}, who, now); err != nil || state != api.StateReady {
			return err
		}
		return a.heldStill(ip.Unmap())
	})
}

// heldStill returns what operators asked of endpoints with that address alone, each by
// itself: nil for nothing.
func (c *core) heldStill(ip netip.Addr) error {
	var held []string
	for _, b := range c.backends {
		for _, e := range b.wanted() {
			switch o := b.overrides.Blocking(b.Name, e.Addr); {
			case e.Addr.Addr() != ip || o == nil:
			case o.Backend == "": // its state is ended
				return fmt.Errorf("%w: %s; give the address another weight", api.ErrOverruled, o.Words())
			default:
				held = append(held, b.Name+"/"+e.Addr.String()+" has "+o.Words())
			}
		}
	}
	if len(held) == 0 {
		return nil
	}
	if n := len(held); n > 3 {
		held = append(held[:3], fmt.Sprintf("%d more", n-3))
	}
	return fmt.Errorf("%w: %s; what was asked of one server is ended at that server", api.ErrOverruled, strings.Join(held, ", "))
}

// SetAddressWeight does to every endpoint with this address, on all backends, now and
// later, what SetWeight does to one, and returns those that there are. What was asked of
// one of them alone goes before it.
func (a *Agent) SetAddressWeight(ctx context.Context, ip netip.Addr, weight string, who api.Who) ([]api.ServerRef, error) {
	if err := checkWeight(weight); err != nil {
		return nil, err
	}
	return a.operateAddress(ctx, ip, func(address string, now time.Time) error {
		return a.setWeight(api.Override{Address: address, Weight: weight}, who, now)
	})
}

// operateAddress has the loop do f, and returns the endpoints with the address.
func (a *Agent) operateAddress(ctx context.Context, ip netip.Addr, f func(address string, now time.Time) error) ([]api.ServerRef, error) {
	if !ip.IsValid() || ip.Zone() != "" {
		return nil, fmt.Errorf("%w: %s is no address of an endpoint", api.ErrBadRequest, ip)
	}
	ip = ip.Unmap()
	return durably(ctx, a, func(context.Context) ([]api.ServerRef, error) {
		if err := f(ip.String(), time.Now()); err != nil {
			return nil, err
		}
		out := []api.ServerRef{}
		for _, b := range a.backends {
			for _, e := range b.wanted() {
				if e.Addr.Addr() == ip {
					out = append(out, b.ref(e.Addr))
				}
			}
		}
		return out, nil
	})
}
