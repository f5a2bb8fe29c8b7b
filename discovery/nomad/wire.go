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
	dial      discovery.Dial
	trust     *discovery.Trust
	transport *http.Transport
}

// newWire connects to the agent at at.
func newWire(at discovery.Location, o discovery.TLS) (*wire, error) {
	trust, err := discovery.NewTrust(o)
	if err != nil {
		return nil, err
	}
	w := &wire{dial: at.Dial(), trust: trust}
	w.transport = trust.Transport(w.connect, connections)
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
