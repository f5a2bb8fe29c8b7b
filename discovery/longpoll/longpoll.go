// Package longpoll watches services in systems that answer blocking queries: Consul and
// Nomad.
//
// A blocking query names the index of an earlier answer, and is answered when something
// has changed since, or when its wait is over. That answer may be old, or come from a
// server that has lost its data, or one that was just started; [Source] has the rules for
// what is believed of it. What differs between the systems (how a question is put, how a
// reply is read, what its headers say) is a [Service].
//
// A [Client] is what the sources of one agent share: its connections, the number of
// queries that may be under way, and the news that the agent answers again.
package longpoll

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// The defaults of [Options].
const (
	DefaultWait         = time.Minute
	DefaultPollInterval = 10 * time.Second
)

// Options say where an agent is and how it is asked.
type Options struct {
	// System is what errors call it, as in "Consul".
	System string
	// Address is http://HOST:PORT or https://HOST:PORT, either with a path, HOST:PORT, or
	// unix:///PATH.
	Address string
	// TLS is used for https.
	TLS TLS
	// HTTP2 says that agents of this system speak HTTP/2 over TLS, where queries share
	// connections.
	HTTP2 bool
	// Queries is how many blocking queries, and Reads how many plain reads, there may be
	// at a time where each of them holds a connection: agents take so many from one address.
	Queries, Reads int
	// Token returns the ACL token; it is called for every request and must not
	// block. Nil or an empty token: none is sent.
	Token func() string
	// Denied is called when the token is refused, so that it can be read again; if
	// Token then returns another one, the request is repeated. May be nil.
	Denied func()
	// Sign adds the token, and what else proves who asks, to a request.
	Sign func(r *http.Request, token string)
	// ClassOf returns what a reply other than a 200 means, of whose body it is given
	// the beginning.
	ClassOf func(status int, body string) discovery.Class
	// Mode is the consistency of blocking queries: [Default], [Stale] or [Cached].
	Mode string
	// Confirm is the consistency of the strongest read there is.
	Confirm string
	// Wait is how long a blocking query waits for news, ±20 %, 10 minutes at most. 0 stands
	// for [DefaultWait].
	Wait time.Duration
	// PollInterval is how often, or up to a fifth later, a service is asked for that finds
	// no place among the blocking queries. 0 stands for [DefaultPollInterval].
	PollInterval time.Duration
}

// A Client asks one agent. It is safe for use by many sources at a time.
type Client struct {
	// At is where the agent listens.
	At Location
	// Dial makes the connections. Tests exchange it before the first request.
	Dial Dial

	opts     Options
	http     http.Client
	wire     *transport // of http
	budget   *budget
	bodies   bodies
	epochs   epochs
	recovery discovery.RecoveryProbe
	answered atomic.Pointer[time.Time] // when a source last was that had failed; nil: never
}

// NewClient returns a client for what o says. It reads the files of o.TLS and
// connects to nothing.
func NewClient(o Options) (*Client, error) {
	o.Wait = cmp.Or(o.Wait, DefaultWait)
	o.PollInterval = cmp.Or(o.PollInterval, DefaultPollInterval)
	switch {
	case o.Wait < time.Second || o.Wait > 10*time.Minute:
		return nil, fmt.Errorf("wait %s is not within 1s and 10m", o.Wait)
	case o.PollInterval < time.Second || o.PollInterval > 10*time.Minute:
		return nil, fmt.Errorf("poll_interval %s is not within 1s and 10m", o.PollInterval)
	}
	at, err := parseLocation(o.Address)
	if err != nil {
		return nil, err
	}
	c := &Client{At: at, Dial: at.dial(), opts: o, budget: newBudget(o.System, o.Queries, o.Reads), bodies: newBodies()}
	if c.wire, err = newTransport(c, o); err != nil {
		return nil, err
	}
	c.http = newHTTP(c.wire)
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Token returns the ACL token, "" if there is none.
func (c *Client) Token() string { return tokenOf(c.opts.Token) }

// URL returns where q is asked with params, which may be nil, at a path of the API.
func (c *Client) URL(path string, params url.Values, q Request) string {
	u := c.At.Base
	u.Path += path
	if params == nil {
		params = url.Values{}
	}
	q.add(params)
	u.RawQuery = params.Encode()
	return u.String()
}

// InUse returns how many blocking queries and plain reads hold a place, and how many
// queries the agent counts, among them those that were given up.
func (c *Client) InUse() (queries, reads, counted int) {
	b := c.budget
	return len(b.queries), len(b.http1) + len(b.http2), len(b.counted)
}

// CheckBudget compares the services that are going to be watched with the connections
// that they may take.
func (c *Client) CheckBudget(watches int) discovery.Finding {
	over, advice := "", ""
	if c.opts.HTTP2 {
		over, advice = " over HTTP/1", "; use https, where they share connections"
	}
	switch most := c.opts.Queries; {
	case !c.wire.http1.Load():
		return discovery.Findingf(discovery.Fine, "%d services to watch share %d connections (HTTP/2)", watches, multiplexed)
	case watches > most:
		return discovery.Findingf(discovery.Dubious, "%d services to watch, and %d connections for that%s: %d are polled every %s%s",
			watches, most, over, watches-most, c.opts.PollInterval, advice)
	default:
		return discovery.Findingf(discovery.Fine, "%d services to watch, with up to %d connections", watches, most)
	}
}
