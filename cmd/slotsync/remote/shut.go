package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// ShutAddress ends the sessions of every server with this address, also of one that no source
// lists any more. It goes on where one fails, and returns those whose sessions it has ended.
func ShutAddress(ctx context.Context, c *client.Client, ip netip.Addr) (done []api.ServerRef, err error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	done = []api.ServerRef{} // in JSON, none is a list too
	var errs []error
	for _, b := range status.Backends {
		for _, server := range serversAt(b, ip) {
			ref, err := c.ShutSessions(ctx, b.Name, server.String())
			if err != nil {
				errs = append(errs, fmt.Errorf("%s/%s: %w", b.Name, server, err))
				continue
			}
			done = append(done, ref)
		}
	}
	return done, errors.Join(errs...)
}

// serversAt lists the addresses with ports that slots of b have at an IP address, by the table
// or at an instance.
func serversAt(b api.BackendStatus, ip netip.Addr) (list []netip.AddrPort) {
	known := map[netip.AddrPort]bool{}
	add := func(text string) {
		at, err := netip.ParseAddrPort(text)
		if err == nil && at.Addr().Unmap() == ip.Unmap() && !known[at] {
			known[at] = true
			list = append(list, at)
		}
	}
	for _, s := range b.Slots {
		add(s.Endpoint)
		for _, in := range s.Instances {
			add(in.Address)
		}
	}
	return list
}
