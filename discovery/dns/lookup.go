package dns

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxTargets  = 256 // SRV targets that are asked for in one lookup
	maxParallel = 16  // of them at a time
)

// A subject is what a source asks about.
type subject struct {
	name   string   // absolute
	qtypes []uint16 // SRV alone, or the address types wanted
	port   uint16   // for address records
}

var bothFamilies = [...]uint16{wire.TypeA, wire.TypeAAAA}

// A finding is what one lookup established.
type finding struct {
	endpoints []discovery.Endpoint
	rejected  []discovery.Rejection
	outcome   outcome
	weak      string // why absence from it proves nothing, or ""
	server    string
	ttl       time.Duration
	known     memory
}

// An asker asks its tries in order until one server knows.
type asker struct {
	client *Client
	tries  []try
	sticky bool // the server that knows is asked first from now on
}

// find looks s up. Its error means that nothing is known.
func (a asker) find(ctx context.Context, s subject, known memory) (finding, error) {
	find := a.addresses
	if s.qtypes[0] == wire.TypeSRV {
		find = a.services
	}
	f, err := find(ctx, s, known)
	if err == nil {
		err = capped(f.endpoints)
	}
	if err != nil {
		return finding{}, err
	}
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
		if failed[t.server] {
			continue
		}
		r, err := a.client.query(ctx, t, name, qtype)
		if err == nil {
			if a.sticky {
				a.client.prefer(t.server)
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

// families asks for the addresses of name of each type, at the same time.
func (a asker) families(ctx context.Context, name string, qtypes []uint16) []heard {
	replies := make([]heard, len(qtypes))
	var wg sync.WaitGroup
	for i, qtype := range qtypes {
		wg.Go(func() { replies[i].reply, replies[i].err = a.ask(ctx, name, qtype) })
	}
	wg.Wait()
	return replies
}

// addresses finds the endpoints of a name with address records.
func (a asker) addresses(ctx context.Context, s subject, known memory) (finding, error) {
	replies := a.families(ctx, s.name, s.qtypes)
	h := combine(s.name, s.qtypes, replies, known)
	if h.err != nil {
		return finding{}, h.err
	}
	f := finding{outcome: found, ttl: h.ttl, known: h.learned}
	for _, r := range replies {
		f.server = cmp.Or(f.server, r.reply.server)
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
	f := finding{outcome: found, server: r.server, ttl: r.ttl, known: memory{}}
	if r.outcome != found {
		f.outcome, f.weak = none([]heard{{reply: r}})
		return f, nil
	}
	if len(r.records) == 1 && r.records[0].target == "." {
		f.outcome = absent
		return f, nil
	}
	usable, rejected := screen(r.records)
	hosts, err := a.targets(ctx, usable, r.glue, known)
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

// targets knows the addresses of all targets, of the reply itself or by asking.
func (a asker) targets(ctx context.Context, records []record, glue map[string]host, known memory) (map[string]resolved, error) {
	missing, err := missingGlue(records, glue)
	if err != nil {
		return nil, err
	}
	hosts := map[string]resolved{}
	for _, r := range records {
		if h := glue[r.target]; len(h.addrs) > 0 {
			hosts[r.target] = resolved{host: h, learned: split(r.target, h.addrs)}
		}
	}
	asked := make([]resolved, len(missing))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(maxParallel, len(missing)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(missing)); i = next.Add(1) - 1 {
				asked[i] = a.target(ctx, missing[i], known)
			}
		})
	}
	wg.Wait()
	for i, name := range missing {
		hosts[name] = asked[i]
	}
	return hosts, nil
}

// target asks for the addresses of an SRV target. If that fails they are the
// last known ones.
func (a asker) target(ctx context.Context, name string, known memory) resolved {
	h := combine(name, bothFamilies[:], a.families(ctx, name, bothFamilies[:]), known)
	if h.err != nil {
		if last, ok := known.recall(name); ok {
			return last
		}
		h.err = discovery.Errorf(discovery.ClassOf(h.err), "target %w", cause(h.err))
	}
	return h
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
