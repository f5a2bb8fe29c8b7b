package consul

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

const (
	proofLasts = 30 * time.Second // ±20 %
	deniedFor  = time.Second      // ±20 %: how long a proof that failed is not tried again
)

// proofs has, for each datacenter, when the agent last proved that it hears from servers
// that know a leader. Replies that an agent makes of what was streamed to it prove
// nothing: without servers it gives out its old data for ever, and shows no sign of
// trouble.
type proofs struct {
	mu           sync.Mutex // guards following
	byDatacenter map[string]*freshness
}

// A freshness is the proof for one datacenter.
type freshness struct {
	mu    sync.Mutex    // guards following
	until time.Time     // it holds
	err   error         // of the last try, until it holds again
	again time.Time     // when to try after err
	doing chan struct{} // closed when the try that runs is over; nil: none does
}

func (p *proofs) of(datacenter string) *freshness {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byDatacenter == nil {
		p.byDatacenter = map[string]*freshness{}
	}
	if p.byDatacenter[datacenter] == nil {
		p.byDatacenter[datacenter] = &freshness{}
	}
	return p.byDatacenter[datacenter]
}

// note says that there is a proof now.
func (f *freshness) note() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until, f.err = time.Now().Add(longpoll.Around(proofLasts)), nil
}

// holds reports whether there is one, and why not.
func (f *freshness) holds() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.until), f.err
}

// need returns nil when there is a proof, after calling try if there is none. Of
// many callers one tries, and all get its result.
func (f *freshness) need(ctx context.Context, try func(context.Context) error) error {
	for ctx.Err() == nil {
		f.mu.Lock()
		now := time.Now()
		switch {
		case now.Before(f.until):
			f.mu.Unlock()
			return nil
		case f.err != nil && now.Before(f.again):
			defer f.mu.Unlock()
			return f.err
		case f.doing == nil:
			f.doing = make(chan struct{})
			f.mu.Unlock()
			f.try(ctx, try)
			continue
		}
		doing := f.doing
		f.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-doing:
		}
	}
	return ctx.Err()
}

// try calls try on behalf of all callers. If this one's context ends, another one tries.
func (f *freshness) try(ctx context.Context, try func(context.Context) error) {
	err := try(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.doing)
	f.doing = nil
	switch now := time.Now(); {
	case err == nil:
		f.until, f.err = now.Add(longpoll.Around(proofLasts)), nil
	case ctx.Err() == nil:
		f.err, f.again = err, now.Add(longpoll.Around(deniedFor))
	}
}

// prove asks for any service, of any server: that it answers, knows a leader and
// is not behind is what matters. consul is the one that every datacenter has.
func (c *Client) prove(ctx context.Context, datacenter string) error {
	r, err := c.get(ctx, Query{Service: "consul", Datacenter: datacenter}, longpoll.Request{Mode: longpoll.Stale})
	class := discovery.ClassOf(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && class != discovery.Auth:
		class = discovery.Server
	case err == nil && r.isFresh(c.opts.MaxStale):
		return nil
	case err == nil:
		class, err = discovery.Server, discovery.Errorf(discovery.Server, "the servers know no leader, or are behind it by %s", r.age)
	}
	return discovery.Errorf(class, "the agent goes by what was streamed to it, and its servers do not answer: %w", err)
}

// isFresh reports whether r shows that its server is in touch with the leader.
func (r reply) isFresh(maxStale time.Duration) bool {
	return !r.streaming && r.leader && r.index > 1 && r.age <= maxStale
}

// loses reports whether an endpoint of old can be used less in now.
func loses(old, now discovery.Reading) bool {
	have := discovery.ByAddr(now.Endpoints())
	return slices.ContainsFunc(old.Endpoints(), func(e discovery.Endpoint) bool {
		is, there := have[e.Addr]
		return !there || is.State > e.State
	})
}
