// Package dns discovers endpoints by SRV and address records.
//
// It tells three things apart that look alike on the wire: records, a proved
// "none" (NXDOMAIN, NODATA), and everything else, which is an error and says
// nothing about endpoints. It does so for each set of records by itself: each address
// family of a name, the SRV records of a service, and each family of their targets are
// parts of a reading, and the trouble of one neither holds up nor empties another.
//
// Who may say "none" is a server that has shown records of that name and type, and says
// so twice, the second time over TCP; which servers have is asked now and then, and
// remembered over restarts. While none of them answers, the part is unknown. A server
// that never had the name has no say. Records count, whoever shows them: before one of
// several is missed, it has been missing from two answers, of two servers where two
// are alive and have the name. Answers that are random parts of a larger set are put
// together.
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// The ways a server is asked over TCP. Auto is also one of the ways that answers
// are taken: see [Options].
const (
	Auto   = "auto"   // for names below .consul, whose UDP answers are cut without a sign, and after a cut or garbled answer
	Always = "always" // for everything
	Never  = "never"  // not at all; a truncated answer is an error then
)

// What an answer with records is taken for, besides [Auto].
const (
	Full    = "full"    // all there is: what is missing from two answers is gone
	Partial = "partial" // a part: what is missing is gone when it was missing for long
)

// The defaults of [Options].
const (
	DefaultTimeout    = 2 * time.Second
	DefaultMinRefresh = 5 * time.Second
	DefaultMaxRefresh = 30 * time.Second
	DefaultHold       = time.Minute
)

const (
	defaultRounds = 2 // over all servers in one lookup
	lookupTime    = 8 * time.Second
	maxServers    = 16
	maxInFlight   = 64 // questions of one client at a time
)

// Options say how to ask. The zero value asks the servers of /etc/resolv.conf.
type Options struct {
	// Servers are asked in this order, as "ip:port"; the one that answered last
	// comes first, and one that failed three times in a row comes last for 30s.
	// Empty: the nameservers of ResolvConf, with its options timeout, attempts,
	// rotate, use-vc and no-aaaa.
	Servers []string
	// ResolvConf is the path of a resolv.conf(5); empty is /etc/resolv.conf. It is
	// read if Servers is empty or Search is set, and again when it was changed. One
	// that is unreadable or names no server does not replace one that did.
	ResolvConf string
	// Search says that names without a dot at their end are looked for along the
	// search list of ResolvConf.
	Search bool
	// TCP is [Auto], [Always] or [Never]; empty is Auto.
	TCP string
	// Timeout bounds one try with one server; 0 is what ResolvConf says if the
	// servers are from there, else [DefaultTimeout]. A lookup with all its tries takes 8s at most.
	Timeout time.Duration
	// MinRefresh and MaxRefresh bound the TTL after which a name is asked for
	// again; 0 is [DefaultMinRefresh] and [DefaultMaxRefresh].
	MinRefresh, MaxRefresh time.Duration
	// Answers is [Full], [Partial] or [Auto], which takes answers for parts once
	// three in a row had the same number of others; empty is Auto.
	Answers string
	// HoldObsolete is how long at least an endpoint is kept that partial answers
	// do not show; 0 is [DefaultHold]. It is longer, an hour at most, where so many are known
	// that each is shown seldom.
	HoldObsolete time.Duration
}

// A Client asks DNS servers on behalf of its sources. It may be used by many
// goroutines, and starts none that outlives a call. TCP connections that it
// keeps are closed after 7s without use, or by Close.
type Client struct {
	options   Options // complete, except what the file says
	file      *resolvFile
	links     *links
	exchange  exchanger
	inFlight  chan struct{}
	calls     calls
	servers   serverHealth
	preferTCP preferTCP
	recovery  discovery.RecoveryProbe
	reach     func(ctx context.Context, to netip.AddrPort) error // says why there is no way to it

	opening sync.Mutex // guards following
	systems *resolvFile
}

// NewClient returns a client. The error names the option that is wrong, or says
// why the resolv.conf cannot be read; one that is not there names no server,
// which means those of the local machine. Nothing is asked yet.
func NewClient(o Options) (*Client, error) {
	o.TCP = cmp.Or(o.TCP, Auto)
	o.Answers = cmp.Or(o.Answers, Auto)
	o.HoldObsolete = cmp.Or(o.HoldObsolete, DefaultHold)
	o.MinRefresh = cmp.Or(o.MinRefresh, DefaultMinRefresh)
	o.MaxRefresh = cmp.Or(o.MaxRefresh, max(o.MinRefresh, DefaultMaxRefresh))
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.Servers = unique(o.Servers)
	c := &Client{options: o, links: newLinks(), inFlight: make(chan struct{}, maxInFlight)}
	c.exchange, c.reach = c.links.exchange, reach
	if len(o.Servers) == 0 || o.Search {
		file, err := openResolvConf(cmp.Or(o.ResolvConf, resolvConf))
		if err != nil {
			return nil, err
		}
		c.file = file
	}
	return c, nil
}

// Close closes the connections that are kept for later. The client can still be
// used, and keeps none from then on. Nobody needs to call it who can wait 7s; it
// is for those who want a clean end.
func (c *Client) Close() error {
	c.links.close()
	return nil
}

func (o Options) validate() error {
	var errs []error
	for _, s := range o.Servers {
		if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 {
			errs = append(errs, fmt.Errorf("dns server %q: want ip:port, as in 127.0.0.1:53", s))
		}
	}
	if len(o.Servers) > maxServers {
		errs = append(errs, fmt.Errorf("dns: %d servers, %d at most", len(o.Servers), maxServers))
	}
	if !slices.Contains([]string{Auto, Always, Never}, o.TCP) {
		errs = append(errs, fmt.Errorf("dns tcp %q: want auto, always or never", o.TCP))
	}
	if !slices.Contains([]string{Auto, Full, Partial}, o.Answers) {
		errs = append(errs, fmt.Errorf("dns answers %q: want auto, full or partial", o.Answers))
	}
	if o.Timeout < 0 || o.MinRefresh < 0 || o.HoldObsolete < 0 {
		errs = append(errs, errors.New("dns: timeout, min_refresh and hold_obsolete must not be negative"))
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

// setup returns how to ask now. It looks at the resolv.conf if that was not
// looked at for a while.
func (c *Client) setup() settings {
	o := settings{servers: c.options.Servers, timeout: c.options.Timeout, rounds: defaultRounds, tcp: c.options.TCP == Always}
	if c.file != nil {
		f := c.file.look()
		o.search, o.ndots = f.search, f.ndots
		if len(o.servers) == 0 {
			o.servers, o.rotate, o.noAAAA = f.servers, f.rotate, f.noAAAA
			o.tcp = o.tcp || f.tcp && c.options.TCP != Never
			o.rounds = cmp.Or(f.rounds, o.rounds)
			o.timeout = cmp.Or(o.timeout, f.timeout)
		}
	}
	o.timeout = cmp.Or(o.timeout, DefaultTimeout)
	return o
}

// pace is how long an answer lives: its TTL, within the bounds of the options.
func (c *Client) pace(ttl time.Duration) time.Duration {
	return min(max(ttl, c.options.MinRefresh), c.options.MaxRefresh)
}
