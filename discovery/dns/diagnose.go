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

var _ discovery.Diagnoser = (*Source)(nil)

// A probe is what one server says over one network.
type probe struct {
	server, network string
	says            string // the records, or that there are none
	err             error
}

// Diagnose implements [discovery.Diagnoser]: it asks each server by itself, over
// UDP and TCP as far as the options let it, and compares what they say. Then it makes
// a reading, and names the parts that are not whole, and the address family that
// cannot be reached from here.
func (s *Source) Diagnose(ctx context.Context) []discovery.Finding {
	l := s.begin()
	networks := []string{"udp", "tcp"}
	switch s.client.options.TCP {
	case Always:
		networks = networks[1:]
	case Never:
		networks = networks[:1]
	}
	probes := make([]probe, 0, len(l.settings.servers)*len(networks))
	for _, server := range l.settings.servers {
		for _, network := range networks {
			probes = append(probes, probe{server: server, network: network})
		}
	}
	var all sync.WaitGroup
	for i := range probes {
		all.Go(func() { s.try(ctx, l, &probes[i]) })
	}
	all.Wait()
	out := findings(probes, networks)
	if slices.ContainsFunc(probes, func(p probe) bool { return p.err == nil }) {
		out = append(out, s.diagnoseParts(ctx)...)
	}
	return out
}

// try asks for every type of record. A name that is looked for along a search
// list is asked for in its first form.
func (s *Source) try(ctx context.Context, l lookup, p *probe) {
	select {
	case s.client.inFlight <- struct{}{}:
		defer func() { <-s.client.inFlight }()
	case <-ctx.Done():
		p.err = transportError(p.server, ctx.Err())
		return
	}
	var said []string
	var failed error
	answered := false
	for _, qtype := range l.qtypes { // one family's trouble is not the server's
		words, err := s.client.lone(ctx, l, *p, qtype)
		answered = answered || err == nil
		failed = worse(failed, err)
		said = append(said, words...)
	}
	if !answered {
		p.err = failed
		return
	}
	slices.Sort(said)
	p.says = strings.Join(said, " ")
}

// lone asks one server one question, with EDNS or without, and returns the records.
func (c *Client) lone(ctx context.Context, l lookup, p probe, qtype uint16) ([]string, error) {
	name := l.names[0]
	m, err := c.once(ctx, l.settings, p.network, p.server, newQuery(name, qtype, true))
	if err == nil && rejectsEDNS(m) {
		m, err = c.once(ctx, l.settings, p.network, p.server, newQuery(name, qtype, false))
	}
	if err != nil || m.Truncated && p.network == "udp" {
		return nil, err // what does not fit is asked over TCP
	}
	r, err := parse(name, qtype, m)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range r.addrs {
		out = append(out, a.String())
	}
	for _, rec := range r.records {
		out = append(out, fmt.Sprintf("%s:%d", label(rec.target), rec.port))
	}
	return out, nil
}

func findings(probes []probe, networks []string) []discovery.Finding {
	var out []discovery.Finding
	add := func(verdict, format string, args ...any) {
		out = append(out, discovery.Findingf(verdict, format, args...))
	}
	said := map[string][]string{} // servers by what they say
	alive, fine := 0, true
	for per := range slices.Chunk(probes, len(networks)) {
		failed := slices.DeleteFunc(slices.Clone(per), func(p probe) bool { return p.err == nil })
		if len(failed) < len(per) {
			alive++
			answered := per[len(per)-1] // TCP, over which nothing is cut
			if answered.err != nil {
				answered = per[0]
			}
			said[answered.says] = append(said[answered.says], answered.server)
		}
		fine = fine && len(failed) == 0
		for i, p := range failed {
			switch {
			case len(failed) < len(per):
				add(discovery.Dubious, "server %s does not answer over %s (%v): %s", p.server, strings.ToUpper(p.network), p.err, without(p.network))
			case i == 0:
				add(discovery.Dubious, "server %s does not answer (%v): take it out, or mend it", p.server, p.err)
			}
		}
	}
	over := strings.ReplaceAll(strings.ToUpper(strings.Join(networks, "+")), "+", " and ")
	switch {
	case alive == 0:
		add(discovery.Faulty, "no server answers")
	case len(said) > 1:
		add(discovery.Dubious, "the servers do not say the same: %s; what any of them lists is used", differ(said))
	case fine && alive == 1:
		add(discovery.Fine, "%s answers over %s; with a second server, removals would not rest on one alone", probes[0].server, over)
	case fine:
		add(discovery.Fine, "%d servers answer over %s, and say the same", alive, over)
	}
	return out
}

// without says what is lost where a server does not answer over a network.
func without(network string) string {
	if network == "tcp" {
		return "answers that do not fit into UDP cannot be read"
	}
	return "every question costs a connection"
}

// differ lists who says how much.
func differ(said map[string][]string) string {
	var out []string
	for words, servers := range said {
		out = append(out, fmt.Sprintf("%d records from %s", len(strings.Fields(words)), strings.Join(servers, ", ")))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

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
		return p.NoneYet() && some[other(p)]
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
