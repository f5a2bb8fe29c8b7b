package longpoll

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

const (
	// MaxBody bounds a list of instances, in bytes.
	MaxBody = 32 << 20
	// A body beyond smallBody needs one of middlePlaces to be read on, and one beyond
	// middleBody one of largePlaces besides: as many bodies as there may be connections, of
	// any size, would be more than a process may have.
	smallBody, middleBody     = 64 << 10, 4 << 20
	middlePlaces, largePlaces = 8, 2
)

// bodies are those that a client is reading or has in memory.
type bodies struct{ middle, large chan struct{} }

func newBodies() bodies {
	return bodies{make(chan struct{}, middlePlaces), make(chan struct{}, largePlaces)}
}

// ReadBody reads a body to its end, which lets the connection be used again, and has decode
// read it. A large one waits until others are decoded; one beyond MaxBody is an error.
func (c *Client) ReadBody(ctx context.Context, body io.Reader, decode func(raw []byte) error) error {
	return c.bodies.read(ctx, body, decode)
}

func (b bodies) read(ctx context.Context, body io.Reader, decode func(raw []byte) error) error {
	var raw bytes.Buffer
	for _, step := range []struct {
		most   int
		places chan struct{} // nil: it takes none
	}{{smallBody, nil}, {middleBody, b.middle}, {MaxBody, b.large}} {
		if step.places != nil {
			select {
			case step.places <- struct{}{}:
				defer func() { <-step.places }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := raw.ReadFrom(io.LimitReader(body, int64(step.most-raw.Len())+1)); err != nil {
			return err
		}
		if raw.Len() <= step.most {
			return decode(raw.Bytes())
		}
	}
	return fmt.Errorf("it is larger than %d bytes", MaxBody)
}
