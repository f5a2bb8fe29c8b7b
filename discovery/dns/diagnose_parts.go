package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/slotsync/slotsync/discovery"
)

// diagnoseParts makes one reading, as after a restart, and looks at its parts.
func (s *Source) diagnoseParts(ctx context.Context) []discovery.Finding {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of what the reading did not wait for
	once := sourceOf(s.client, s.subject, s.kind)
	once.Remember(s.Memory())
	r, err := once.Next(ctx)
	if err != nil {
		return []discovery.Finding{discovery.Findingf(discovery.Faulty, "%v", err)}
	}
	var out []discovery.Finding
	for _, gap := range few(notable(r)) {
		out = append(out, discovery.Findingf(discovery.Dubious, "%s", gap))
	}
	return append(out, s.unreachable(ctx, r)...)
}

// notable lists the parts that are not whole and that one should know of: that nobody
// has IPv6 addresses of what has an IPv4 one, or the other way round, is no trouble.
func notable(r discovery.Reading) []string {
	some := map[string]bool{}
	other := func(p discovery.Part) string {
		_, of, _ := strings.Cut(p.Name, " of ")
		return of
	}
	for _, p := range r.Parts {
		some[other(p)] = some[other(p)] || len(p.Endpoints) > 0
	}
	r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), func(p discovery.Part) bool {
		return p.State == discovery.Partial && len(p.Endpoints) == 0 && strings.HasPrefix(p.Why, noneYet) && some[other(p)]
	})
	return r.Gaps()
}

// unreachable says which names have addresses of both families of which those of IPv6
// cannot be reached from here.
func (s *Source) unreachable(ctx context.Context, r discovery.Reading) []discovery.Finding {
	if s.subject.wanted.preferV4 {
		return nil
	}
	v4, v6 := map[string]bool{}, map[string][]netip.AddrPort{}
	for _, e := range r.Endpoints() {
		if e.Addr.Addr().Is4() {
			v4[e.Name] = true
		} else {
			v6[e.Name] = append(v6[e.Name], e.Addr)
		}
	}
	var lost []string
	for name, addrs := range v6 {
		if v4[name] && !s.reachesAny(ctx, addrs) {
			lost = append(lost, fmt.Sprintf("%s (as in %s)", name, addrs[0]))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return []discovery.Finding{discovery.Findingf(discovery.Dubious,
		"there is no way from here to the IPv6 addresses of %s, which have IPv4 addresses too: set family: prefer-v4",
		strings.Join(few(lost), ", "))}
}

// reachesAny says whether there is a way to one of the first of addrs.
func (s *Source) reachesAny(ctx context.Context, addrs []netip.AddrPort) bool {
	errs := make([]error, min(len(addrs), 16))
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = s.client.reach(ctx, addrs[i]) })
	}
	all.Wait()
	return slices.Contains(errs, nil)
}

// reach connects a datagram socket, which sends nothing, and fails where there is no
// route.
func reach(ctx context.Context, to netip.AddrPort) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		return err
	}
	return c.Close()
}
