package dns

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A try is one server and the way to it.
type try struct {
	server string
	tcp    bool // also where the options would choose UDP
}

// everybody lists the tries of a lookup of k: round by round, the servers that are
// known to have it first, unless they are to take turns, and those that are dead last.
func (a asker) everybody(k key) []try {
	alive, out := a.client.servers.order(a.settings.servers, a.settings.rotate)
	if !a.settings.rotate {
		alive, out = a.holdersFirst(k, alive), a.holdersFirst(k, out)
	}
	servers := slices.Concat(alive, out)
	var all []try
	for range a.settings.rounds {
		for _, s := range servers {
			all = append(all, try{server: s})
		}
	}
	return all
}

// others lists the tries of a second opinion on what server says of k: the other
// servers that are alive, and the same one over TCP, where nobody forges or cuts.
func (a asker) others(k key, server string) []try {
	var all []try
	for _, s := range a.holdersFirst(k, a.client.servers.others(a.settings.servers, server)) {
		all = append(all, try{server: s})
	}
	return append(all, a.strongest(server))
}

// strongest is the best way to ask server.
func (a asker) strongest(server string) try {
	return try{server: server, tcp: a.client.options.TCP != Never}
}

func (a asker) holdersFirst(k key, servers []string) []string {
	first := a.holders.of(k, servers)
	for _, s := range servers {
		if !slices.Contains(first, s) {
			first = append(first, s)
		}
	}
	return first
}

// query asks one server once. Equal queries at the same time share one answer.
func (c *Client) query(ctx context.Context, o settings, t try, name string, qtype uint16) (reply, error) {
	return c.calls.do(ctx, callKey{t, name, qtype}, func(ctx context.Context) (reply, error) {
		select {
		case c.inFlight <- struct{}{}:
		case <-ctx.Done():
			return reply{}, transportError(t.server, ctx.Err())
		}
		defer func() { <-c.inFlight }()
		asked := time.Now()
		r, err := c.queryOnce(ctx, o, t, name, qtype)
		switch {
		case err == nil:
			c.servers.succeeded(t.server)
		case ctx.Err() == nil:
			c.servers.failed(t.server, asked)
		}
		return r, err
	})
}

// queryOnce asks once, and again without EDNS if the server seems not to know it.
func (c *Client) queryOnce(ctx context.Context, o settings, t try, name string, qtype uint16) (reply, error) {
	edns := !c.servers.lacksEDNS(t.server)
	a, err := c.attempt(ctx, o, t, newQuery(name, qtype, edns))
	if err == nil && edns && rejectsEDNS(a.msg) {
		a, err = c.attempt(ctx, o, t, newQuery(name, qtype, false))
		if err == nil && !rejectsEDNS(a.msg) {
			c.servers.setLacksEDNS(t.server)
		}
	}
	if err != nil {
		return reply{}, err
	}
	r, err := parse(name, qtype, a.msg)
	if err != nil {
		return reply{}, discovery.Errorf(discovery.ClassOf(err), "%s: %s: %w", t.server, name, cause(err))
	}
	r.server, r.network, r.cut = t.server, a.network, a.cut
	return r, nil
}

// cause is err without its class.
func cause(err error) error {
	if e, ok := errors.AsType[*discovery.Error](err); ok {
		return e.Err
	}
	return err
}

// An arrival is a message, and how it came.
type arrival struct {
	msg     *wire.Msg
	network string
	cut     bool
}

// attempt gets a whole reply from one server. What is cut or garbled over UDP
// is asked again over TCP.
func (c *Client) attempt(ctx context.Context, o settings, t try, q *wire.Msg) (arrival, error) {
	name := q.Question[0].Name
	if !t.tcp && !c.overTCP(o, name) {
		m, err := c.once(ctx, o, "udp", t.server, q)
		if err == nil && !m.Truncated || err != nil && discovery.ClassOf(err) != discovery.Protocol {
			return arrival{m, "udp", false}, err
		}
		if c.options.TCP == Never {
			return arrival{}, cmp.Or(err, error(discovery.Errorf(discovery.Protocol, "%s: truncated, and TCP is off", t.server)))
		}
		c.noteUDPFailure(name, err)
		q = q.Copy()
		q.Id = wire.Id()
	}
	if c.options.TCP == Auto && !o.tcp && isConsul(name) {
		return c.rather(ctx, o, t.server, q)
	}
	m, err := c.once(ctx, o, "tcp", t.server, q)
	switch {
	case err == nil && m.Truncated:
		return arrival{}, discovery.Errorf(discovery.Protocol, "%s: truncated over TCP", t.server)
	case err != nil && discovery.ClassOf(err) == discovery.Transport:
		c.preferTCP.end(name) // where TCP leads nowhere, UDP may have more to say next time
	}
	return arrival{m, "tcp", false}, err
}

// rather asks a server of Consul over TCP, and where that leads nowhere, as with a
// port that is published for UDP alone, over UDP. What comes then may be cut.
func (c *Client) rather(ctx context.Context, o settings, server string, q *wire.Msg) (arrival, error) {
	var failed error
	if !c.servers.lacksTCP(server) {
		m, err := c.once(ctx, o, "tcp", server, q)
		switch {
		case err == nil && m.Truncated:
			return arrival{}, discovery.Errorf(discovery.Protocol, "%s: truncated over TCP", server)
		case err == nil, ctx.Err() != nil, discovery.ClassOf(err) != discovery.Transport:
			return arrival{m, "tcp", false}, err
		}
		failed = err
		q = q.Copy()
		q.Id = wire.Id()
	}
	m, err := c.once(ctx, o, "udp", server, q)
	switch {
	case err == nil && m.Truncated && len(m.Answer) == 0:
		return arrival{}, discovery.Errorf(discovery.Protocol, "%s: truncated over UDP, and TCP does not work: open its TCP port", server)
	case err == nil:
		if failed != nil {
			c.servers.setLacksTCP(server)
		}
		return arrival{m, "udp", true}, nil
	case failed != nil:
		return arrival{}, discovery.Errorf(discovery.ClassOf(failed), "%w over TCP, nor over UDP (names below .consul are asked for over TCP first, unless tcp: never)", cause(failed))
	}
	return arrival{}, err
}

// noteUDPFailure remembers that name is better asked for over TCP: a reply over UDP failed
// with err, or was truncated.
func (c *Client) noteUDPFailure(name string, err error) {
	switch {
	case err == nil:
		c.preferTCP.set(name, "its answers do not fit into UDP", cutTime)
	case errors.Is(err, errJunk):
		c.preferTCP.set(name, "false answers came over UDP", junkTime)
	}
}

func (c *Client) once(ctx context.Context, o settings, network, server string, q *wire.Msg) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return c.exchange(ctx, network, server, q)
}

func (c *Client) overTCP(o settings, name string) bool {
	if o.tcp || c.options.TCP == Never {
		return o.tcp
	}
	_, ok := c.preferTCP.of(name)
	return ok || isConsul(name)
}

func isConsul(name string) bool { return strings.HasSuffix(wire.CanonicalName(name), ".consul.") }

// network is how name is asked for at first.
func (c *Client) network(o settings, name string) string {
	if c.overTCP(o, name) {
		return "tcp"
	}
	return "udp"
}

const (
	junkTime     = time.Minute      // over TCP after a flood of false replies
	cutTime      = 10 * time.Minute // over TCP after a truncated answer
	maxPreferTCP = 1024
)

// preferTCP has the names that are asked for over TCP for a while. The zero value is
// empty.
type preferTCP struct {
	mu sync.Mutex // guards following
	by map[string]tcpReason
}

// A tcpReason says why a name is asked for over TCP, and until when.
type tcpReason struct {
	why   string
	until time.Time
}

// set has name asked for over TCP from now on. The number of names is bounded, since SRV
// records can name any number of targets: beyond it a name is asked for over UDP first.
func (d *preferTCP) set(name, why string, lasting time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(d.by) >= maxPreferTCP {
		for n, other := range d.by {
			if !now.Before(other.until) {
				delete(d.by, n)
			}
		}
	}
	if d.by == nil {
		d.by = map[string]tcpReason{}
	}
	if len(d.by) < maxPreferTCP {
		d.by[name] = tcpReason{why, now.Add(lasting)}
	}
}

func (d *preferTCP) end(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.by, name)
}

// of reports whether name is asked for over TCP now, and why.
func (d *preferTCP) of(name string) (tcpReason, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.by[name]
	return t, ok && time.Now().Before(t.until)
}
