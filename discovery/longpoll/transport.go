package longpoll

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// multiplexed is enough connections for a thousand watches over HTTP/2, and keeps a cold
// start from dialling once for each.
const multiplexed = 4

// A transport reaches one agent. Where HTTP/2 is to be expected it uses few connections
// until the agent turns out not to speak it.
type transport struct {
	trust     *Trust
	few, many *http.Transport
	http1     atomic.Bool // each query needs a connection of its own
}

// newTransport connects by c.Dial.
func newTransport(c *Client, o Options) (*transport, error) {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.Dial(ctx, network, address)
	}
	trust, err := NewTrust(o.TLS)
	t := &transport{trust: trust, few: trust.transport(dial, multiplexed), many: trust.transport(dial, o.Queries+o.Reads)}
	t.http1.Store(!o.HTTP2 || c.At.Base.Scheme != "https")
	return t, err
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
