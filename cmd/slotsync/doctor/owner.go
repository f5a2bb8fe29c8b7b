package doctor

import (
	"context"
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// This file finds who else has a say in the slots of a backend.

// judgeOwners says what agent-checks do, whether HAProxy's resolvers are known to have
// slots, and what it means that none is spare.
func (f *findings) judgeOwners(b config.Backend, own []slots.Server) {
	f.some(api.VerdictOK, own, func(s slots.Server) bool { return s.Agent },
		"have an agent-check: their weight is the agent's, and slotsync sets it with the fill alone; it is disabled while a slot is to take no traffic")
	if slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) {
		f.add(api.VerdictFail, "%s", slots.ResolvedWords(b.Proxy))
	}
	spare := func(s slots.Server) bool {
		return s.Class == slots.Maint || slots.IsPlaceholder(s.Addr, netip.AddrPort{})
	}
	if !slices.ContainsFunc(own, spare) && !b.Dynamic {
		f.add(api.VerdictWarn, "every slot is in use: an endpoint that replaces another one waits until that has no sessions: have a spare slot, or `dynamic: true`")
	}
}

// askResolvers finds out whether HAProxy's resolvers have the slots by a host name, which
// the dump does not show.
func (f *findings) askResolvers(ctx context.Context, client *haproxy.Client, b config.Backend, servers []slots.Server) {
	_, own := slotsOf(b, servers)
	i := slices.IndexFunc(own, func(s slots.Server) bool { return s.FQDN != "" })
	if i < 0 {
		return
	}
	switch found, err := client.Resolved(ctx, map[string]slots.Server{b.Proxy: own[i]}); {
	case err != nil:
		f.add(api.VerdictWarn, "whether HAProxy's own resolvers have the slots is not known: %v", err)
	case found[b.Proxy]:
		f.add(api.VerdictFail, "%s", slots.ResolvedWords(b.Proxy))
	}
}
