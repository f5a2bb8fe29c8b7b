package dns

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A try is one server and the way to it.
type try struct {
	server string
	tcp    bool // also where the options would choose UDP
	resort bool // only if no other server says anything
}

// everybody lists the tries of a lookup.
func (c *Client) everybody(o settings) []try {
	return tries(c.roster.order(o.servers, o.rotate), o.rounds)
}

func tries(servers []string, rounds int) []try {
	var out []try
	for range rounds {
		for _, s := range servers {
			out = append(out, try{server: s})
		}
	}
	return out
}

// others lists the tries of a second opinion on what server says: those of the
// other servers that are alive, and, if none of them says a word, the same one
// over TCP, where nobody forges or cuts. Without that, a dead server would keep
// every removal back for ever. Several others are tried once, so that there is
// time left for it.
func (c *Client) others(o settings, server string) []try {
	alive := c.roster.others(o.servers, server)
	if len(alive) > 1 {
		o.rounds = 1
	}
	out := tries(alive, o.rounds)
	return append(out, try{server: server, tcp: c.options.TCP != Never, resort: true})
}

// query asks one server once, together with whoever else asks it the same now.
func (c *Client) query(ctx context.Context, o settings, t try, name string, qtype uint16) (reply, error) {
	t.resort = false
	return c.flights.join(ctx, errand{t, name, qtype}, func(ctx context.Context) (reply, error) {
		select {
		case c.inFlight <- struct{}{}:
		case <-ctx.Done():
			return reply{}, transportError(t.server, ctx.Err())
		}
		defer func() { <-c.inFlight }()
		asked := time.Now()
		r, err := c.fly(ctx, o, t, name, qtype)
		switch {
		case err == nil:
			c.roster.succeeded(t.server)
		case ctx.Err() == nil:
			c.roster.failed(t.server, asked)
		}
		return r, err
	})
}

// fly asks once, and again without EDNS if the server seems not to know it.
func (c *Client) fly(ctx context.Context, o settings, t try, name string, qtype uint16) (reply, error) {
	edns := !c.roster.isPlain(t.server)
	m, network, err := c.attempt(ctx, o, t, question(name, qtype, edns))
	if err == nil && edns && rejectsEDNS(m) {
		m, network, err = c.attempt(ctx, o, t, question(name, qtype, false))
		if err == nil && !rejectsEDNS(m) {
			c.roster.setPlain(t.server)
		}
	}
	if err != nil {
		return reply{}, err
	}
	r, err := parse(name, qtype, m)
	if err != nil {
		return reply{}, discovery.Errorf(discovery.ClassOf(err), "%s: %s: %w", t.server, name, cause(err))
	}
	r.server, r.network = t.server, network
	return r, nil
}

// attempt gets a whole reply from one server. What is cut or garbled over UDP
// is asked again over TCP.
func (c *Client) attempt(ctx context.Context, o settings, t try, q *wire.Msg) (m *wire.Msg, network string, err error) {
	name := q.Question[0].Name
	if !t.tcp && !c.overTCP(o, name) {
		m, err := c.once(ctx, o, "udp", t.server, q)
		if err == nil && !m.Truncated || err != nil && discovery.ClassOf(err) != discovery.Protocol {
			return m, "udp", err
		}
		if c.options.TCP == Never {
			return nil, "udp", cmp.Or(err, error(discovery.Errorf(discovery.Protocol, "%s: truncated, and TCP is off", t.server)))
		}
		c.detour(name, err)
		q = q.Copy()
		q.Id = wire.Id()
	}
	m, err = c.once(ctx, o, "tcp", t.server, q)
	switch {
	case err == nil && m.Truncated:
		return nil, "tcp", discovery.Errorf(discovery.Protocol, "%s: truncated over TCP", t.server)
	case err != nil && discovery.ClassOf(err) == discovery.Transport:
		c.detours.end(name) // where TCP leads nowhere, UDP may have more to say next time
	}
	return m, "tcp", err
}

// detour remembers what a reply over UDP taught about name: err, or that it was
// truncated.
func (c *Client) detour(name string, err error) {
	switch {
	case err == nil:
		c.detours.set(name, "its answers do not fit into UDP", cutTime)
	case errors.Is(err, errJunk):
		c.detours.set(name, "false answers came over UDP", junkTime)
	}
}

// once makes one exchange within the time of a try.
func (c *Client) once(ctx context.Context, o settings, network, server string, q *wire.Msg) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return c.exchange(ctx, network, server, q)
}

// overTCP says whether name is asked for over TCP at once.
func (c *Client) overTCP(o settings, name string) bool {
	if o.tcp || c.options.TCP == Never {
		return o.tcp
	}
	_, ok := c.detours.of(name)
	return ok || isConsul(name)
}

func isConsul(name string) bool { return strings.HasSuffix(wire.CanonicalName(name), ".consul.") }

// network is how try t for name begins.
func (c *Client) network(o settings, t try, name string) string {
	if t.tcp || c.overTCP(o, name) {
		return "tcp"
	}
	return "udp"
}
