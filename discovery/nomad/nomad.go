// Package nomad is a [discovery.Source] that watches a service in Nomad's own
// catalogue (provider = "nomad") by blocking queries, GET /v1/service/NAME.
//
// Nomad's servers do not know whether an instance is healthy: they list every one
// that is registered. So every instance is ready here, from when its allocation
// registers it until it is stopped; HAProxy's own checks have to decide which of
// them get traffic. There are no weights either.
//
// An error never says that there are no instances. A list that is empty or short
// is believed if a plain read by a server that knows its leader says so. Nomad
// answers with an empty list for a namespace that does not exist.
//
// What Nomad shares with Consul is in longpoll. The package uses the types of nomad/api but
// not its client. That client takes NOMAD_* variables from the environment for whatever is
// left empty, a token among them. It drops the error where the index of a reply cannot be
// read, reads replies of any size, packed ones too, and accepts a list that something
// follows. What it would save is the URL of one question and the reading of four headers.
package nomad

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// Options say where Nomad is and how it is asked.
type Options struct {
	// These are as in [longpoll.Options]; an empty Address stands for [DefaultAddress], and
	// the token needs read-job.
	Address            string
	Token              func() string
	Denied             func()
	Wait, PollInterval time.Duration
	TLS                longpoll.TLS

	// Namespace is the one that services are looked for in; empty: default. All of
	// them, *, is not a namespace that services can be read from.
	Namespace string
	// Region is asked instead of the agent's own if it is not empty.
	Region string
}

// DefaultAddress is the default of [Options.Address].
const DefaultAddress = "http://127.0.0.1:4646"

// A Query says which service is watched, and which of its instances.
type Query struct {
	// Service is the name of the service. It is required.
	Service string
	// Tags must all be there.
	Tags []string
	// Filter is an expression in Nomad's filter language; empty: none.
	Filter string
}

const (
	// queries is how many blocking queries there may be at a time: each holds a
	// connection, of which an agent takes 100 from one address by default
	// (http_max_conns_per_client), and those that were given up count until their
	// wait is over.
	queries = 40
	// reads is how many plain reads there may be besides.
	reads = 8
)

// A Client asks one Nomad agent. It is safe for use by many sources at a time.
type Client struct {
	opts Options
	http *longpoll.Client
}

// NewClient returns a client for what o says. It reads the files of o.TLS and
// connects to nothing. Nothing is taken from the environment.
func NewClient(o Options) (*Client, error) {
	for key, name := range map[string]string{"namespace": o.Namespace, "region": o.Region} {
		if name != "" && !label.MatchString(name) {
			return nil, fmt.Errorf("%s %q is not a name: letters, digits, - _ and ., 128 at most", key, discovery.Printable(name, 70))
		}
	}
	client, err := longpoll.NewClient(longpoll.Options{
		System: "Nomad", Address: cmp.Or(o.Address, DefaultAddress), TLS: o.TLS, Queries: queries, Reads: reads,
		Token: o.Token, Denied: o.Denied, Sign: sign, ClassOf: classOf,
		// Nomad knows no read that is more consistent than one by the leader.
		Mode: longpoll.Default, Confirm: longpoll.Default, Wait: o.Wait, PollInterval: o.PollInterval,
	})
	if err != nil {
		return nil, err
	}
	return &Client{opts: o, http: client}, nil
}

func sign(r *http.Request, token string) {
	if token != "" {
		r.Header.Set("X-Nomad-Token", token)
	}
}

// classOf returns what a status means. A 404 is an agent that is older than 1.3,
// which has no services of its own, or another program: a service that is not
// there is a 200.
func classOf(status int, _ string) discovery.Class { return longpoll.ClassOfStatus(status) }

var label = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.Close() }

// service is what Nomad lets be the name of a service (RFC 1123), and a little
// more; it is one segment of a path.
var service = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$`)

// Source returns a source for q, or what is wrong with q. Each source may be
// watched once at a time.
func (c *Client) Source(q Query) (*Source, error) {
	switch {
	case q.Service == "":
		return nil, fmt.Errorf("the service has no name")
	case !service.MatchString(q.Service):
		return nil, fmt.Errorf("%q cannot be the name of a service", discovery.Printable(q.Service, 40))
	case slices.Contains(q.Tags, ""):
		return nil, fmt.Errorf("service %s: a tag is empty", q.Service)
	}
	q.Tags = slices.Clone(q.Tags)
	a := &adapter{client: c, query: q}
	return &Source{longpoll.NewSource(c.http, a), a}, nil
}
