// Package web lets people and programs see what the agent does and tell it what
// to do, over HTTP: the API under /v1/, health and readiness, and the metrics.
//
// Over the unix socket everybody who may open it may do everything. So may, over TCP,
// who shows a bearer token, a client certificate, or a user and his password; with the
// token for reading one may read. Without one of these nothing is answered, except on a
// loopback listener, as [Options.Loopback] says: by default what can be seen of the state.
// A browser is shown a page on which one signs in, and then shows a cookie. Every
// request over TCP must name a host that the listener is known by, and every change
// that a browser sends must come from there: a page somewhere else can make a browser
// talk to 127.0.0.1, and a host name can be made to resolve to it.
package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
)

// An Agent is what is shown and told. Its methods are called from many
// goroutines.
type Agent interface {
	// Status is what the agent knows now. It does not block.
	Status() api.Status
	// Healthy returns why the loop does not run, nil if it ticked within 10 s.
	Healthy() error
	// Sync starts a round and returns when every reachable instance was
	// compared, or with ctx's error.
	Sync(ctx context.Context) (api.Status, error)
	// Accept has that go which the id stands for: [api.ErrNoBackend],
	// [api.ErrNothingHeld] or [api.ErrNoSuchID] if there is no such thing.
	Accept(ctx context.Context, backend, id, by string) (api.Accepted, error)
	// Explain says why a backend, or an address or a slot in it, is as it is:
	// [api.ErrNoBackend] or [api.ErrNoSubject] if there is no such thing. about
	// is "" for the backend as a whole.
	Explain(ctx context.Context, backend, about string) (api.Explanation, error)
	// Events are what changes.
	Events() *event.Log
	HAProxy
	Instances
	Operators
}

// DefaultSocketMode lets the owner and the group of the socket in.
const DefaultSocketMode fs.FileMode = 0o660

// Options says what a [Server] shows and where it listens.
type Options struct {
	Agent   Agent        // must not be nil
	Metrics http.Handler // must not be nil
	// Reload reads the configuration again; its error says why the old one
	// stays in force. With drainRemoved, slots that the new one does not serve
	// are taken out of service first. Must not be nil.
	Reload func(ctx context.Context, drainRemoved bool) error
	// Listen is a TCP address as in "127.0.0.1:9750", "" for none. What is not
	// loopback needs a token, or a Config that asks for certificates or passwords.
	Listen string
	// Socket is the path of a unix socket, "" for none. Its directory is made if
	// it is missing.
	Socket string
	// SocketMode are the permissions of the socket; 0 for [DefaultSocketMode].
	SocketMode fs.FileMode
	// SocketGroup is the name or number of its group, "" for the process's own.
	SocketGroup string
	// Hosts are further names under which the listener may be asked: "name"
	// stands for itself alone and with the listener's port, "name:port" for
	// exactly that.
	Hosts []string
	// Token returns the bearer token in force, "" for none. It is called for
	// every request over TCP, so that a token can change. May be nil.
	Token func() string
	// ReadToken returns a bearer token with which one may read and nothing else, as Token
	// does. May be nil.
	ReadToken func() string
	// Loopback is what may be done over loopback TCP by who shows nothing; "" for
	// [LoopbackRead].
	Loopback Loopback
	// MaxFor bounds how long what is asked for without full rights holds; 0 for
	// [DefaultMaxFor].
	MaxFor time.Duration
	// Config is a file of Prometheus' exporter-toolkit, for the TCP listener: TLS,
	// client certificates, users with passwords, limits. It is read again with every
	// connection and request. "" for none.
	Config string
	// Log takes what goes wrong with a connection, as warnings. Nil for nowhere.
	Log *slog.Logger
}

// A Server answers over TCP, a unix socket, or both. [New] makes one, Listen
// binds it, Serve answers.
type Server struct {
	o        Options
	loopback bool // the TCP listener can be reached from this machine only
	tcp      net.Listener
	unix     net.Listener
	// gate checks requests as Config says; nil: none does. It is there with the first connection.
	gate     atomic.Pointer[http.Handler]
	stopping chan struct{} // closed when Serve ends
	seats    chan struct{} // holds one for each who may not do everything and is told of events
	sessions sessions      // of who signed in on the page
}

// New checks o and binds nothing yet. A listener that others can reach is refused
// where nobody has to show who he is.
func New(o Options) (*Server, error) {
	if o.Token == nil {
		o.Token = func() string { return "" }
	}
	if o.ReadToken == nil {
		o.ReadToken = func() string { return "" }
	}
	if o.MaxFor == 0 {
		o.MaxFor = DefaultMaxFor
	}
	if o.SocketMode == 0 {
		o.SocketMode = DefaultSocketMode
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = slog.New(discreet{o.Log.Handler()})
	s := &Server{o: o, stopping: make(chan struct{}), seats: make(chan struct{}, seats)}
	if o.Listen == "" {
		return s, nil
	}
	if err := CheckConfig(o.Config); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("http listener %q: %w", o.Listen, err)
	}
	s.loopback = isLoopback(host)
	return s, s.authenticated()
}

func (s *Server) authenticated() error {
	if s.loopback || s.o.Token() != "" || s.o.ReadToken() != "" {
		return nil
	}
	if asks, err := ReadConfig(s.o.Config); err != nil || asks.Knows() {
		return err
	}
	return fmt.Errorf("http listener %s can be reached from other machines and asks for no token, client certificate or password: "+
		"give it one of these, or let it listen on 127.0.0.1", s.o.Listen)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Handler answers what comes in over TCP, or over the unix socket. It is for
// tests; Serve uses it.
func (s *Server) Handler(unix bool) http.Handler {
	h := s.checkOrigin(readBody(answering(s.routes())))
	if unix {
		return secured(known(h))
	}
	return secured(s.checkHost(s.doorstep(h, s.checkAccess(h))))
}

// Addr is the TCP address that Listen bound, "" if there is none.
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Close gives up what Listen bound. It is needed only if Serve is not called.
func (s *Server) Close() error {
	var errs []error
	for _, l := range s.listeners() {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
