package dns

import (
	"cmp"
	"context"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A finding is what one lookup established.
type finding struct {
	endpoints []discovery.Endpoint
	rejected  []discovery.Rejection
	outcome   outcome
	weak      string // why absence from it proves nothing, or ""
	name      string // that has it
	rank      int    // how many names before that in the search list do not exist
	records   int
	server    string
	network   string
	ttl       time.Duration
	known     memory
}

// An asker asks its tries in order until one server knows.
type asker struct {
	client   *Client
	settings settings
	tries    []try
	sticky   bool // the server that knows is asked first from now on
}

// search looks s up under each of names, until one exists. Nothing is known if
// one of them cannot be asked for: the next one may be a wildcard, and somebody
// else's.
func (a asker) search(ctx context.Context, s subject, names []string, known memory) (finding, error) {
	var none finding
	for i, name := range names {
		s.name = name
		f, err := a.find(ctx, s, known)
		if err != nil {
			return finding{}, err
		}
		f.rank = i
		if i > 0 {
			f.ttl = min(f.ttl, none.ttl)
		}
		if f.outcome != nxDomain {
			return f, nil
		}
		none = f
	}
	return none, nil
}

// find looks s up. Its error means that nothing is known.
func (a asker) find(ctx context.Context, s subject, known memory) (finding, error) {
	find := a.addresses
	if s.srv {
		find = a.services
	}
	f, err := find(ctx, s, known)
	if err == nil {
		err = capped(f.endpoints)
	}
	if err != nil {
		return finding{}, err
	}
	f.name = s.name
	return f, nil
}

func capped(eps []discovery.Endpoint) error {
	if len(eps) > discovery.MaxEndpoints {
		return discovery.Errorf(discovery.Protocol, "cap: %d endpoints, %d at most", len(eps), discovery.MaxEndpoints)
	}
	return nil
}

// ask returns the first reply that says something about name. A server that
// answers with a failure is not asked again. The error is the first one that
// came from a server, or else the last.
func (a asker) ask(ctx context.Context, name string, qtype uint16) (reply, error) {
	var told, last error
	failed := map[string]bool{}
	for _, t := range a.tries {
		if failed[t.server] || t.resort && told != nil {
			continue
		}
		r, err := a.client.query(ctx, a.settings, t, name, qtype)
		if err == nil {
			if a.sticky {
				a.client.roster.prefer(t.server)
			}
			return r, nil
		}
		last = err
		if discovery.ClassOf(err) != discovery.Transport {
			failed[t.server] = true
			told = cmp.Or(told, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return reply{}, cmp.Or(told, last)
}

// A heard is what came of one question.
type heard struct {
	reply reply
	err   error
}

// hosts asks for the addresses of name of each type that is wanted, at the same
// time, unless one type makes the other needless.
func (a asker) hosts(ctx context.Context, name string, wanted families) []heard {
	replies := make([]heard, len(wanted.qtypes))
	if wanted.preferV4 {
		r, err := a.ask(ctx, name, wire.TypeA)
		if replies[0] = (heard{r, err}); err != nil || len(r.addrs) > 0 {
			return replies[:1]
		}
		replies[1].reply, replies[1].err = a.ask(ctx, name, wire.TypeAAAA)
		return replies
	}
	var wg sync.WaitGroup
	for i, qtype := range wanted.qtypes {
		wg.Go(func() { replies[i].reply, replies[i].err = a.ask(ctx, name, qtype) })
	}
	wg.Wait()
	return replies
}

// addresses finds the endpoints of a name with address records.
func (a asker) addresses(ctx context.Context, s subject, known memory) (finding, error) {
	wanted := s.wanted.without(a.settings.noAAAA)
	replies := a.hosts(ctx, s.name, wanted)
	h := combine(s.name, wanted.qtypes, replies, known)
	if h.err != nil {
		return finding{}, h.err
	}
	f := finding{outcome: found, ttl: h.ttl, known: h.learned, records: len(h.addrs)}
	for _, r := range replies {
		f.server, f.network = cmp.Or(f.server, r.reply.server), cmp.Or(f.network, r.reply.network)
	}
	if h.partial != nil {
		f.weak = h.partial.Error()
	}
	f.endpoints, f.rejected = endpoints(h.addrs, s.port, "")
	switch {
	case len(h.addrs) == 0:
		f.outcome, f.weak = none(replies)
	case len(f.endpoints) == 0:
		f.outcome, f.weak = unusable, "every record was refused"
	}
	return f, nil
}

// services finds the endpoints of a name with SRV records.
func (a asker) services(ctx context.Context, s subject, known memory) (finding, error) {
	r, err := a.ask(ctx, s.name, wire.TypeSRV)
	if err != nil {
		return finding{}, err
	}
	f := finding{outcome: found, server: r.server, network: r.network, ttl: r.ttl, records: len(r.records), known: memory{}}
	if r.outcome != found {
		f.outcome, f.weak = none([]heard{{reply: r}})
		return f, nil
	}
	if len(r.records) == 1 && r.records[0].target == "." {
		f.outcome = absent
		return f, nil
	}
	usable, rejected := screen(r.records)
	hosts, err := a.targets(ctx, usable, r.glue, s.wanted.without(a.settings.noAAAA), known)
	if err != nil {
		return finding{}, err
	}
	f.remember(hosts)
	eps, refused, weak, err := place(usable, hosts)
	switch {
	case err != nil:
		return finding{}, err
	case weak != nil:
		f.weak = weak.Error()
	case len(eps) == 0:
		f.outcome, f.weak = unusable, "every record was refused"
	}
	f.endpoints, f.rejected = eps, append(rejected, refused...)
	return f, nil
}

// remember takes over what the lookups of the targets taught.
func (f *finding) remember(hosts map[string]resolved) {
	for _, h := range hosts {
		f.ttl = min(f.ttl, h.ttl)
		f.known.add(h.learned)
	}
}

// none says what an answer without records rests on. NODATA is a proof only
// with an SOA record (RFC 2308 2.2): without, it may be a referral, or a server
// that could not follow an alias.
func none(replies []heard) (what outcome, weak string) {
	what = nxDomain
	for _, h := range replies {
		if h.reply.outcome == noData {
			what = noData
			if !h.reply.soa {
				weak = "no SOA record proves it"
			}
		}
	}
	return what, weak
}
