// Package dns discovers endpoints by SRV and address records.
//
// It tells three things apart that look alike on the wire: records, a proved
// "none" (NXDOMAIN, NODATA), and everything else, which is an error and says
// nothing about endpoints. Before something that was known is missed from a
// reading, it has been missing from two answers, of two servers where there are
// two.
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// The ways a server is asked over TCP.
const (
	Auto   = "auto"   // for names below .consul, whose UDP answers are cut without a sign, and after a cut or garbled answer
	Always = "always" // for everything
	Never  = "never"  // not at all; a truncated answer is an error then
)

const (
	resolvConf  = "/etc/resolv.conf"
	rounds      = 2 // over all servers in one lookup
	lookupTime  = 8 * time.Second
	maxInFlight = 64        // exchanges of one client at a time
	plainTime   = time.Hour // how long a server is taken to know no EDNS
)

// Options say how to ask. The zero value asks the servers of /etc/resolv.conf.
type Options struct {
	// Servers are asked in this order, as "ip:port"; the one that answered last
	// comes first. Empty: the nameservers of /etc/resolv.conf as it is when the
	// client is made.
	Servers []string
	// TCP is [Auto], [Always] or [Never]; empty is Auto.
	TCP string
	// Timeout bounds one try with one server; 0 is 2s. A lookup with all its
	// tries takes 8s at most.
	Timeout time.Duration
	// MinRefresh and MaxRefresh bound the TTL after which a name is asked for
	// again; 0 is 5s and 30s.
	MinRefresh, MaxRefresh time.Duration
}

// A Client asks DNS servers on behalf of its sources. It may be used by many
// goroutines, starts none that outlives a call, and needs no closing.
type Client struct {
	options  Options // complete
	exchange exchanger
	inFlight chan struct{}

	mu    sync.Mutex // guards following
	good  int        // index of the server that answered last
	plain map[string]time.Time
}

// NewClient returns a client. The error names the option that is wrong, or says
// why /etc/resolv.conf cannot be read. Nothing is asked yet.
func NewClient(o Options) (*Client, error) {
	o.TCP = cmp.Or(o.TCP, Auto)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.MinRefresh = cmp.Or(o.MinRefresh, 5*time.Second)
	o.MaxRefresh = cmp.Or(o.MaxRefresh, max(o.MinRefresh, 30*time.Second))
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(o.Servers) == 0 {
		servers, err := serversOf(resolvConf)
		if err != nil {
			return nil, err
		}
		o.Servers = servers
	}
	o.Servers = unique(o.Servers)
	return &Client{
		options:  o,
		exchange: exchange,
		inFlight: make(chan struct{}, maxInFlight),
		plain:    map[string]time.Time{},
	}, nil
}

func (o Options) validate() error {
	var errs []error
	for _, s := range o.Servers {
		if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 {
			errs = append(errs, fmt.Errorf("dns server %q: want ip:port, as in 127.0.0.1:53", s))
		}
	}
	if !slices.Contains([]string{Auto, Always, Never}, o.TCP) {
		errs = append(errs, fmt.Errorf("dns tcp %q: want auto, always or never", o.TCP))
	}
	if o.Timeout < 0 || o.MinRefresh < 0 {
		errs = append(errs, errors.New("dns: timeout and min_refresh must not be negative"))
	}
	if o.MaxRefresh < o.MinRefresh {
		errs = append(errs, fmt.Errorf("dns: max_refresh %v is less than min_refresh %v", o.MaxRefresh, o.MinRefresh))
	}
	return errors.Join(errs...)
}

// unique drops repeated servers: one server is no second opinion on itself.
func unique(servers []string) []string {
	var out []string
	for _, s := range servers {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// serversOf reads the nameservers of a resolv.conf(5). Names are absolute here,
// so its search list is of no interest.
func serversOf(path string) ([]string, error) {
	c, err := wire.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("dns: no servers are configured, and %s: %w", path, err)
	}
	var servers []string
	for _, s := range c.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			servers = append(servers, net.JoinHostPort(a.String(), "53"))
		}
	}
	if len(servers) == 0 { // resolv.conf(5): the name server on the local machine
		return []string{"127.0.0.1:53", "[::1]:53"}, nil
	}
	return servers, nil
}

// A try is one server and the way to it.
type try struct {
	server string
	tcp    bool // also where the options would choose UDP
}

// query asks one server once, again without EDNS if it seems not to know it.
func (c *Client) query(ctx context.Context, t try, name string, qtype uint16) (reply, error) {
	edns := !c.isPlain(t.server)
	m, err := c.attempt(ctx, t, question(name, qtype, edns))
	if err == nil && edns && rejectsEDNS(m) {
		m, err = c.attempt(ctx, t, question(name, qtype, false))
		if err == nil && !rejectsEDNS(m) {
			c.setPlain(t.server)
		}
	}
	if err != nil {
		return reply{}, err
	}
	r, err := parse(name, qtype, m)
	if err != nil {
		return reply{}, discovery.Errorf(discovery.ClassOf(err), "%s: %s: %w", t.server, name, cause(err))
	}
	r.server = t.server
	return r, nil
}

// attempt gets a whole reply from one server. What is cut or garbled over UDP
// is asked again over TCP.
func (c *Client) attempt(ctx context.Context, t try, q *wire.Msg) (*wire.Msg, error) {
	if !t.tcp && !c.overTCP(q.Question[0].Name) {
		m, err := c.once(ctx, "udp", t.server, q)
		if err == nil && !m.Truncated || err != nil && discovery.ClassOf(err) != discovery.Protocol {
			return m, err
		}
		if c.options.TCP == Never {
			return nil, cmp.Or(err, error(discovery.Errorf(discovery.Protocol, "%s: truncated, and TCP is off", t.server)))
		}
		q = q.Copy()
		q.Id = wire.Id()
	}
	m, err := c.once(ctx, "tcp", t.server, q)
	if err == nil && m.Truncated {
		return nil, discovery.Errorf(discovery.Protocol, "%s: truncated over TCP", t.server)
	}
	return m, err
}

// once waits for its turn and makes one exchange within the time of a try.
func (c *Client) once(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
	select {
	case c.inFlight <- struct{}{}:
	case <-ctx.Done():
		return nil, discovery.Errorf(discovery.Transport, "%s: not asked, too many questions at once", server)
	}
	defer func() { <-c.inFlight }()
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	return c.exchange(ctx, network, server, q)
}

func (c *Client) overTCP(name string) bool {
	switch c.options.TCP {
	case Always:
		return true
	case Never:
		return false
	}
	return strings.HasSuffix(wire.CanonicalName(name), ".consul.")
}

// everybody lists the tries of a lookup, beginning with the server that
// answered last.
func (c *Client) everybody() []try {
	c.mu.Lock()
	defer c.mu.Unlock()
	var tries []try
	for i := range rounds * len(c.options.Servers) {
		tries = append(tries, try{server: c.options.Servers[(c.good+i)%len(c.options.Servers)]})
	}
	return tries
}

// others lists the tries of a second opinion on what server says: any other
// server, else the same one over TCP, where nobody forges or cuts.
func (c *Client) others(server string) []try {
	var tries []try
	for _, s := range c.options.Servers {
		if s != server {
			tries = append(tries, try{server: s})
		}
	}
	if len(tries) == 0 {
		return []try{{server: server, tcp: c.options.TCP != Never}}
	}
	return tries
}

// best returns the server that answered last.
func (c *Client) best() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.options.Servers[c.good]
}

func (c *Client) prefer(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = slices.Index(c.options.Servers, server)
}

func (c *Client) isPlain(server string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, ok := c.plain[server]
	return ok && time.Since(since) < plainTime
}

func (c *Client) setPlain(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plain[server] = time.Now()
}
