package haproxy

import (
	"context"
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/slots"
)

// HAProxy 3.4 ends when a server is added to a backend that is disabled in its
// configuration (seen in 3.4.7: SIGFPE); earlier ones refuse. So nothing is added
// where the servers that are there do not show that the backend is in use.

// notInUse says why nothing is added to a backend with these servers; "" if it is.
func notInUse(list []slots.Server) string {
	switch {
	case len(list) == 0:
		return "not sent: the backend shows no server, and HAProxy may end if it is disabled in the configuration"
	case slices.ContainsFunc(list, func(s slots.Server) bool { return s.Off }):
		return "not sent: the backend is disabled in the configuration"
	}
	return ""
}

// refuseDisabled reads the backends that are to get servers, and refuses those of
// disabled ones before HAProxy hears of them.
func (r *round) refuseDisabled(ctx context.Context) error {
	adds := slices.DeleteFunc(r.unproved(), func(s step) bool { return s.kind != addKind })
	if len(adds) == 0 || !endsOnAdd(r.seen.Version) {
		return nil
	}
	if err := r.send(ctx, nil, r.backendsOf(adds), true); err != nil {
		return err
	}
	for _, s := range adds {
		list, ok := r.outcome.View.Servers[r.changes[s.change].Backend]
		if why := notInUse(list); ok && why != "" {
			f := &r.fates[s.change]
			f.bad, f.step, f.cause, f.reply = true, s, slots.Stopped, why
		}
	}
	return nil
}

// takesServers returns an error if adding a server to backend may end HAProxy.
func (c *Client) takesServers(ctx context.Context, backend string) error {
	p, err := c.current(ctx)
	if err != nil || !endsOnAdd(p.Version) {
		return err
	}
	show, err := appendShowState(nil, backend)
	if err != nil {
		return err
	}
	a, err := c.ask(ctx, line{read: show, reads: 1})
	if err != nil {
		return err
	}
	if isNoBackend(a.reads[0]) {
		return nil // which is what HAProxy will say
	}
	servers := make(map[string][]slots.Server, 1)
	if err := mergeState(servers, backend, a.reads[0]); err != nil {
		return garbled(false, "%s: %w", c.at, err)
	}
	if why := notInUse(servers[backend]); why != "" {
		return fmt.Errorf("%s: %s", backend, why)
	}
	return nil
}
