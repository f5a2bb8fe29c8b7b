package consul

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

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
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	trust     *discovery.Trust
	few, many *http.Transport
	http1     atomic.Bool // each query needs a connection of its own
}

// newTransport connects to the unix socket if there is one, else to where requests
// go.
func newTransport(scheme, socket string, o TLS) (*transport, error) {
	t := &transport{}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	t.dial = dialer.DialContext
	if socket != "" {
		t.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	var err error
	t.trust, err = discovery.NewTrust(o)
	t.few, t.many = t.pool(multiplexed), t.pool(connections)
	t.http1.Store(scheme != "https")
	return t, err
}

// connect exists because tests exchange dial.
func (t *transport) connect(ctx context.Context, network, address string) (net.Conn, error) {
	return t.dial(ctx, network, address)
}

// pool opens at most most connections.
func (t *transport) pool(most int) *http.Transport {
	return &http.Transport{
		DialContext:            t.connect,
		DialTLSContext:         t.trust.Dialer(t.connect),
		MaxConnsPerHost:        most,
		MaxIdleConnsPerHost:    most,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// The agent is near: packing costs it more time than the wire does, and
		// what is not unpacked cannot explode.
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		// A dead connection would otherwise swallow every watch on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
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
