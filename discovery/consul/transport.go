package consul

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/slotsync/slotsync/discovery"
)

// TLS says how an https agent is spoken to.
type TLS = discovery.TLS

const (
	// connections is half of what an agent grants one address by default
	// (http_max_conns_per_client 200): other programs on the host share it, and a
	// blocking query that was given up still counts until its wait is over. Over
	// HTTP/1 every query holds one.
	connections = 100
	// multiplexed is enough connections for a thousand watches over HTTP/2, and
	// keeps a cold start from dialling once for each.
	multiplexed = 4
)

// A transport reaches one agent. Over TLS it uses few connections until the agent
// turns out not to speak HTTP/2.
type transport struct {
	dial      discovery.Dial
	trust     *discovery.Trust
	few, many *http.Transport
	http1     atomic.Bool // each query needs a connection of its own
}

// newTransport connects to the agent at at.
func newTransport(at discovery.Location, o TLS) (*transport, error) {
	t := &transport{dial: at.Dial()}
	var err error
	t.trust, err = discovery.NewTrust(o)
	t.few, t.many = t.trust.Transport(t.connect, multiplexed), t.trust.Transport(t.connect, connections)
	t.http1.Store(at.Base.Scheme != "https")
	return t, err
}

// connect exists because tests exchange dial.
func (t *transport) connect(ctx context.Context, network, address string) (net.Conn, error) {
	return t.dial(ctx, network, address)
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.http1.Load() {
		return t.noted(t.many.RoundTrip(r))
	}
	return t.noted(t.few.RoundTrip(r))
}

// noted learns from each reply, since another agent may listen there after a while.
func (t *transport) noted(resp *http.Response, err error) (*http.Response, error) {
	if err == nil {
		t.http1.Store(resp.ProtoMajor == 1)
	}
	return resp, err
}

// CloseIdleConnections is what [http.Client] looks for.
func (t *transport) CloseIdleConnections() {
	t.few.CloseIdleConnections()
	t.many.CloseIdleConnections()
}
