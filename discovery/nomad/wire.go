package nomad

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// queries is how many blocking queries there may be at a time: each holds a
	// connection, of which an agent takes 100 from one address by default
	// (http_max_conns_per_client), and those of a client before this one count
	// until their wait is over.
	queries = 40
	// reads is how many plain reads there may be besides.
	reads       = 8
	connections = queries + reads

	patience = 30 * time.Second // for a place among the plain reads
)

// A wire reaches one agent.
type wire struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	trust     *discovery.Trust
	transport *http.Transport
}

// newWire connects to the unix socket if there is one, else to where requests go.
func newWire(socket string, o discovery.TLS) (*wire, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	w := &wire{dial: dialer.DialContext}
	if socket != "" {
		w.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	var err error
	if w.trust, err = discovery.NewTrust(o); err != nil {
		return nil, err
	}
	w.transport = &http.Transport{
		DialContext:            w.connect,
		DialTLSContext:         w.trust.Dialer(w.connect),
		MaxConnsPerHost:        connections,
		MaxIdleConnsPerHost:    connections,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// What is not unpacked cannot explode.
		DisableCompression: true,
		ForceAttemptHTTP2:  true, // a proxy in front of Nomad may speak it
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	return w, nil
}

// connect exists because tests exchange dial.
func (w *wire) connect(ctx context.Context, network, address string) (net.Conn, error) {
	return w.dial(ctx, network, address)
}

// A budget shares out the connections of one client: one element for each that is
// in use.
type budget struct{ queries, reads chan struct{} }

func newBudget() budget {
	return budget{queries: make(chan struct{}, queries), reads: make(chan struct{}, reads)}
}

// read waits for a place among the plain reads. Its errors are ctx's own or a
// [discovery.Error].
func (b budget) read(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, discovery.Errorf(discovery.Transport, "%d reads before this one were not answered within %s", reads, patience)
	case b.reads <- struct{}{}:
		return func() { <-b.reads }, ctx.Err()
	}
}
