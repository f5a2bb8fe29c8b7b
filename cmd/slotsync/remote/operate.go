package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
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

// Resume ends a pause. An agent that does not say which are left has ended it all the same.
func Resume(ctx context.Context, c *client.Client, backend string) (output.Resumed, error) {
	done := output.Resumed{Backend: backend, Pauses: []api.Pause{}}
	if err := c.Resume(ctx, backend); err != nil {
		return done, err
	}
	if s, err := c.Status(ctx); err == nil {
		done.Pauses = append(done.Pauses, s.Pauses...)
	}
	return done, nil
}

// Servers lists those of a backend, or of all if it is "".
func Servers(ctx context.Context, c *client.Client, backend string) ([]api.ServerRow, error) {
	if backend != "" {
		return c.Servers(ctx, backend)
	}
	addresses, err := c.Addresses(ctx)
	rows := []api.ServerRow{}
	for _, a := range addresses {
		rows = append(rows, a.Servers...)
	}
	return rows, err
}

// User is who asks, for the history. Under sudo it is who has called that.
func User() string {
	u, err := user.Current()
	if err != nil {
		return "the command line"
	}
	return actor(u.Uid, u.Username, os.Getenv("SUDO_USER"))
}

// actor is the user of a process, or who became root by sudo. To others the variable
// says nothing: they can set it as they like.
func actor(uid, name, sudo string) string {
	if uid == "0" && sudo != "" {
		return sudo
	}
	return name
}
