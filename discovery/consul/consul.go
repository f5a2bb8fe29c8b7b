// Package consul is a [discovery.Source] that watches the health of a service
// in Consul by blocking queries (GET /v1/health/service/NAME).
//
// A 200 with an empty list is not evidence of emptiness: agents without data,
// servers that are still catching up and queries without the right token all
// answer so. Every reply is therefore classified by its headers and by what was
// asked before it may become a reading; see judge.
//
// What Consul shares with Nomad (blocking queries, connections, what is believed of an
// index) is in longpoll. Here is how Consul is asked and what its replies say, and three
// rules of its own: what a token may not read any more is not gone (rights), data that was
// streamed to the agent proves nothing without its servers (freshness), and an agent that
// is too old ignores what it does not know (version).
//
// The package uses the names and types of consul/api but not its client. That client takes
// CONSUL_* variables from the environment for whatever is left empty: a token, a namespace,
// the path of a token file, without which it cannot be made. It drops the error where the
// index or the age of a reply cannot be read, and does not know the header that says that
// any server may have answered. It accepts a list that something follows, of any length,
// and refuses all of it for one field of another type, used or not. It decodes every field,
// which takes three times as long and seven times the memory (BenchmarkDecode40). A
// transport below it that mends this would be more code than the request and the headers
// are here.
package consul

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

const (
	// connections is half of what an agent grants one address by default
	// (http_max_conns_per_client 200): other programs on the host share it, and a
	// blocking query that was given up still counts until its wait is over. Over
	// HTTP/1 every query holds one.
	connections = 100
	reads       = 8                   // of them for plain reads,
	queries     = connections - reads // which leaves so many for blocking queries
)

// The defaults of [Options] that are not [longpoll.DefaultWait] and [longpoll.DefaultPollInterval].
const (
	DefaultAddress  = "http://127.0.0.1:8500"
	DefaultMaxStale = 10 * time.Second
)

// Options say where Consul is and how it is asked.
type Options struct {
	// These are as in [longpoll.Options]; an empty Address stands for [DefaultAddress]. Over
	// HTTP/1 an agent takes 92 blocking queries from one client, over HTTP/2 (https) as many
	// as there are.
	Address            string
	Token              func() string
	Denied             func()
	Wait, PollInterval time.Duration
	TLS                longpoll.TLS

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
	// Consistency of blocking queries: [longpoll.Stale] (also if empty) lets any server
	// answer, [longpoll.Default] only the leader, [longpoll.Cached] the agent's cache.
	Consistency string
	// MaxStale is how far behind the leader an answer may be, for stale and
	// cached reads. 0 stands for [DefaultMaxStale].
	MaxStale time.Duration
}

// A Client asks one Consul agent. It is safe for use by many sources at a time.
type Client struct {
	opts   Options
	http   *longpoll.Client
	proofs proofs
	agent  agent
}

// NewClient returns a client for what o says. It reads the files of o.TLS and
// connects to nothing. Nothing is taken from the environment.
func NewClient(o Options) (*Client, error) {
	o.Consistency = cmp.Or(o.Consistency, longpoll.Stale)
	o.MaxStale = cmp.Or(o.MaxStale, DefaultMaxStale)
	switch {
	case !slices.Contains([]string{longpoll.Stale, longpoll.Default, longpoll.Cached}, o.Consistency):
		return nil, fmt.Errorf("consistency %q is not one of stale, default, cached", o.Consistency)
	case o.MaxStale < 0:
		return nil, fmt.Errorf("max_stale %s is negative", o.MaxStale)
	}
	for key, name := range map[string]string{"datacenter": o.Datacenter, "namespace": o.Namespace, "partition": o.Partition} {
		if name != "" && !isLabel(name) {
			return nil, fmt.Errorf("%s %q is not a name: letters, digits, - and _, 64 at most", key, discovery.Printable(name, 70))
		}
	}
	client, err := longpoll.NewClient(longpoll.Options{
		System: "Consul", Address: cmp.Or(o.Address, DefaultAddress), TLS: o.TLS, HTTP2: true, Queries: queries, Reads: reads,
		Token: o.Token, Denied: o.Denied, Sign: o.sign, ClassOf: classOf,
		Mode: o.Consistency, Confirm: longpoll.Consistent, Wait: o.Wait, PollInterval: o.PollInterval,
	})
	if err != nil {
		return nil, err
	}
	return &Client{opts: o, http: client, agent: agent{turn: make(chan struct{}, 1)}}, nil
}

func (o Options) sign(r *http.Request, token string) {
	if token != "" {
		r.Header.Set("X-Consul-Token", token)
	}
	if o.Auth == nil {
		return
	}
	if user, password := o.Auth(); user != "" {
		r.SetBasicAuth(user, password)
	}
}

// classOf returns what a status means, and a body with it.
func classOf(status int, body string) discovery.Class {
	class := longpoll.ClassOfStatus(status)
	if class != discovery.Busy && class != discovery.Auth && strings.Contains(body, "boolean expression") { // a faulty filter is a 500
		return discovery.Config
	}
	return class
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.Close() }
