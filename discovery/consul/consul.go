// Package consul is a [discovery.Source] that watches the health of a service
// in Consul by blocking queries (GET /v1/health/service/NAME).
//
// A 200 with an empty list is not evidence of emptiness: agents without data,
// servers that are still catching up and queries without the right token all
// answer so. Every reply is therefore classified by its headers and by what was
// asked before it may become a reading; see judge.
//
// The package uses the names and types of consul/api but not its client, which
// takes CONSUL_* variables from the environment for whatever is left empty and
// ignores an index that cannot be read.
package consul

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// How current the data of a blocking query has to be; see
// [Options.Consistency].
const (
	Stale   = "stale"
	Default = "default"
	Cached  = "cached"
)

// Options say where Consul is and how it is asked.
type Options struct {
	// Address is http://HOST:PORT, https://HOST:PORT, either with a path, HOST:PORT
	// or unix:///PATH. Empty stands for http://127.0.0.1:8500.
	Address string
	// Token returns the ACL token; it is called for every request and must not
	// block. Nil or an empty token: none is sent.
	Token func() string
	// Denied is called when Consul refuses the token, so that it can be read
	// again; if Token then returns another one, the request is repeated. May be
	// nil.
	Denied func()
	// Auth returns a user and a password for basic authentication (RFC 7617), which
	// a proxy in front of Consul may want; it is called for every request and must
	// not block. Nil or an empty user: none is sent.
	Auth func() (user, password string)
	// Datacenter is asked instead of the agent's own if it is not empty, and
	// [Query.Datacenter] names none.
	Datacenter string
	// Namespace and Partition are those of the services, in Consul Enterprise;
	// empty: those of the agent and the token. An agent that does not know them is
	// not asked: it would ignore them and tell of another service of that name.
	Namespace, Partition string
	// Consistency of blocking queries: Stale (also if empty) lets any server
	// answer, Default only the leader, Cached the agent's cache.
	Consistency string
	// MaxStale is how far behind the leader an answer may be, for Stale and
	// Cached. 0 stands for 10 s.
	MaxStale time.Duration
	// Wait is how long a blocking query waits for news, ±20 %. 0 stands for 60 s;
	// Consul allows 10 minutes.
	Wait time.Duration
	// PollInterval is how often, or up to a fifth later, a service is asked for that finds no place
	// among the blocking queries. Over HTTP/1 an agent takes 92 of them from one
	// client, over HTTP/2 (https) as many as there are. 0 stands for 10 s.
	PollInterval time.Duration
	// TLS is used for https.
	TLS TLS
}

// A Client asks one Consul agent. It is safe for use by many sources at a time.
type Client struct {
	opts     Options
	at       discovery.Location
	api      discovery.API
	wire     *transport // of api
	budget   *budget
	eras     eras
	fresh    freshness
	gate     discovery.Gate
	answered atomic.Pointer[time.Time] // when a source last was that had failed; nil: never
	agent    agent
}

// NewClient returns a client for what o says. It reads the files of o.TLS and
// connects to nothing. Nothing is taken from the environment.
func NewClient(o Options) (*Client, error) {
	o.Consistency = cmp.Or(o.Consistency, Stale)
	o.MaxStale = cmp.Or(o.MaxStale, 10*time.Second)
	o.Wait = cmp.Or(o.Wait, time.Minute)
	o.PollInterval = cmp.Or(o.PollInterval, 10*time.Second)
	switch {
	case !slices.Contains([]string{Stale, Default, Cached}, o.Consistency):
		return nil, fmt.Errorf("consistency %q is not one of stale, default, cached", o.Consistency)
	case o.MaxStale < 0:
		return nil, fmt.Errorf("max_stale %s is negative", o.MaxStale)
	case o.Wait < time.Second || o.Wait > 10*time.Minute:
		return nil, fmt.Errorf("wait %s is not within 1s and 10m", o.Wait)
	case o.PollInterval < time.Second || o.PollInterval > 10*time.Minute:
		return nil, fmt.Errorf("poll_interval %s is not within 1s and 10m", o.PollInterval)
	}
	for key, name := range map[string]string{"datacenter": o.Datacenter, "namespace": o.Namespace, "partition": o.Partition} {
		if name != "" && !isLabel(name) {
			return nil, fmt.Errorf("%s %q is not a name: letters, digits, - and _, 64 at most", key, discovery.Printable(name, 70))
		}
	}
	at, err := discovery.ParseLocation(cmp.Or(o.Address, "http://127.0.0.1:8500"))
	if err != nil {
		return nil, err
	}
	wire, err := newTransport(at, o.TLS)
	if err != nil {
		return nil, err
	}
	return &Client{
		opts: o, at: at, api: discovery.NewAPI("Consul", wire, classOf), wire: wire, budget: newBudget(), agent: agent{turn: make(chan struct{}, 1)},
	}, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.api.Client.CloseIdleConnections() }
