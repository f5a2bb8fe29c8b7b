package consul

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	proofLasts = 30 * time.Second // ±20 %
	deniedFor  = time.Second      // ±20 %: how long a proof that failed is not tried again
)

// A freshness remembers when an agent last proved that it hears from servers that
// know a leader. Replies that an agent makes of what was streamed to it prove
// nothing: without servers it gives out its old data for ever, and shows no sign
// of trouble.
type freshness struct {
	mu      sync.Mutex // guards following
	centers map[string]*proof
}

// A proof is for one datacenter.
type proof struct {
	mu    sync.Mutex    // guards following
	until time.Time     // it holds
	err   error         // of the last try, until it holds again
	again time.Time     // when to try after err
	doing chan struct{} // closed when the try that runs is over; nil: none does
}

func (f *freshness) of(datacenter string) *proof {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.centers == nil {
		f.centers = map[string]*proof{}
	}
	if f.centers[datacenter] == nil {
		f.centers[datacenter] = &proof{}
	}
	return f.centers[datacenter]
}

// note says that there is a proof now.
func (p *proof) note() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.err = time.Now().Add(discovery.Around(proofLasts)), nil
}

// holds reports whether there is one, and why not.
func (p *proof) holds() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until), p.err
}

// need returns nil when there is a proof, after calling try if that takes one. Of
// many callers one tries, and all get its result.
func (p *proof) need(ctx context.Context, try func(context.Context) error) error {
	for ctx.Err() == nil {
		p.mu.Lock()
		now := time.Now()
		switch {
		case now.Before(p.until):
			p.mu.Unlock()
			return nil
		case p.err != nil && now.Before(p.again):
			defer p.mu.Unlock()
			return p.err
		case p.doing == nil:
			p.doing = make(chan struct{})
			p.mu.Unlock()
			p.try(ctx, try)
			continue
		}
		doing := p.doing
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-doing:
		}
	}
	return ctx.Err()
}

// try has the caller try for all. If it goes, another one does.
func (p *proof) try(ctx context.Context, try func(context.Context) error) {
	err := try(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.doing)
	p.doing = nil
	switch now := time.Now(); {
	case err == nil:
		p.until, p.err = now.Add(discovery.Around(proofLasts)), nil
	case ctx.Err() == nil:
		p.err, p.again = err, now.Add(discovery.Around(deniedFor))
	}
}

// prove asks for any service, of any server: that it answers, knows a leader and
// is not behind is what matters. consul is the one that every datacenter has.
func (c *Client) prove(ctx context.Context, datacenter string) error {
	r, err := c.get(ctx, Query{Service: "consul", Datacenter: datacenter}, ask{mode: Stale})
	class := discovery.ClassOf(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && class != discovery.Auth:
		class = discovery.Server
	case err == nil && r.proves(c.opts.MaxStale):
		return nil
	case err == nil:
		class, err = discovery.Server, discovery.Errorf(discovery.Server, "the servers know no leader, or are behind it by %s", r.age)
	}
	return discovery.Errorf(class, "the agent goes by what was streamed to it, and its servers do not answer: %w", err)
}

// proves reports whether r shows that its server is in touch with the leader.
func (r reply) proves(maxStale time.Duration) bool {
	return !r.streaming && r.leader && r.index > 1 && r.age <= maxStale
}

// loses reports whether an endpoint of old can be used less in now.
func loses(old, now discovery.Reading) bool {
	eps := now.Endpoints()
	states := make(map[netip.AddrPort]discovery.State, len(eps))
	for _, e := range eps {
		states[e.Addr] = e.State
	}
	for _, e := range old.Endpoints() {
		if state, ok := states[e.Addr]; !ok || state > e.State {
			return true
		}
	}
	return false
}
