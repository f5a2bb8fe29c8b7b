// Package web lets people and programs see what the agent does and tell it what
// to do, over HTTP: the API under /v1/, health and readiness, and the metrics.
//
// Who may do what is for [auth] to say, and the page for browsers is [page].
package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/audit"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/agent/web/page"
	"github.com/slotsync/slotsync/slots"
)

// An Agent is what is shown and told. Its methods are called from many
// goroutines.
type Agent interface {
	page.Agent
	// Healthy returns why the loop does not run, nil if it ticked within 10 s.
	Healthy() error
	// Sync starts a round and returns when every reachable instance was
	// compared, or with ctx's error.
	Sync(ctx context.Context) (api.Status, error)
	// Explain says why a backend, or an address or a slot in it, is as it is:
	// [api.ErrNoBackend] or [api.ErrNoSubject] if there is no such thing. about
	// is "" for the backend as a whole.
	Explain(ctx context.Context, backend, about string) (api.Explanation, error)
	// What operators can ask of endpoints besides what the page can. Of this and what follows
	// agent.Agent has the errors.
	AddServer(ctx context.Context, backend string, addr netip.AddrPort, name, weight string, who api.Who) (api.ServerRef, error)
	RemoveServer(ctx context.Context, backend, server string) (api.ServerRef, error)
	ShutSessions(ctx context.Context, backend, server string) (api.ServerRef, error)
	// What can be asked of a single HAProxy.
	Dump(ctx context.Context, instance, what string) (slots.Dump, error)
	Raw(ctx context.Context, instance, command, by string) (string, error)
	// What can be done with HAProxy's own process and configuration. name is of a reload of the
	// configuration, "" for the first (of ReloadHAProxy: all).
	ReloadHAProxy(ctx context.Context, req api.ReloadRequest) ([]api.ReloadStatus, error)
	RestoreHAProxy(ctx context.Context, name, id, by, etag string) ([]api.ReloadStatus, error)
	CheckHAProxy(ctx context.Context, name string) (words string, err error)
	HAProxyConfig(ctx context.Context, name, version string) (text []byte, etag string, err error)
	HAProxyVersions(ctx context.Context, name string) ([]api.ConfigVersion, error)
	HAProxyDiff(ctx context.Context, name, from, to string) (string, error)
	HAProxySections(ctx context.Context, name string) ([]api.ConfigSection, string, error)
	HAProxySection(ctx context.Context, name, typ, section string) (text []byte, etag string, err error)
	PreviewHAProxySection(ctx context.Context, e api.SectionEdit) (string, error)
	EditHAProxySection(ctx context.Context, e api.SectionEdit) ([]api.ReloadStatus, error)
}

// defaultSocketMode lets the owner and the group of the socket in.
const defaultSocketMode fs.FileMode = 0o660

// Options says what a [Server] shows and where it listens.
type Options struct {
	Agent   Agent        // must not be nil
	Metrics http.Handler // must not be nil
	// Reload reads the configuration again; its error says why the old one
	// stays in force. With drainRemoved, slots that the new one does not serve
	// are taken out of service first. Must not be nil.
	Reload func(ctx context.Context, drainRemoved bool) error
	// Examine asks instances and sources what may go wrong, as this process. Must not be nil.
	Examine func(ctx context.Context) ([]api.Finding, error)
	// Audit records a change that was asked for; its error is said with the answer. Nil: nothing does.
	Audit func(audit.Entry) error
	// TCP and Unix are listeners that are open already, instead of what would be bound at
	// Listen and Socket, which then say where they are; nil for none.
	TCP, Unix net.Listener
	// Listen is a TCP address as in "127.0.0.1:9750", "" for none. What is not
	// loopback needs a token, or a Config that asks for certificates or passwords.
	Listen string
	// Socket is the path of a unix socket, "" for none. Its directory is made if
	// it is missing.
	Socket string
	// SocketMode are the permissions of the socket; 0 for 0660.
	SocketMode fs.FileMode
	// SocketGroup is the name or number of its group, "" for the process's own.
	SocketGroup string
	// SocketUID is the user whom the socket belongs to, and SocketGID the group that it has without
	// SocketGroup; 0 for the process's own.
	SocketUID, SocketGID int
	// By what somebody is known over TCP, and what they may do. Its Log also takes what
	// goes wrong with a connection.
	auth.Options
}

// A Server answers over TCP, a unix socket, or both. [New] makes one, Listen
// binds it, Serve answers.
type Server struct {
	o         Options
	gate      *auth.Gate
	page      *page.Page
	tcp       net.Listener
	unix      net.Listener
	stopping  chan struct{} // closed when Serve ends
	refused   *rate.Limiter // of entries of the audit about who may change nothing
	leftOut   atomic.Int64  // what that has left out
	examining sync.Mutex    // held while the agent examines itself
	// anonymousStreams holds one for each who may not do everything and is told of events.
	anonymousStreams chan struct{}
	scrapes          *auth.Shares
}

// New checks o and binds nothing yet. A listener that others can reach is refused
// where nobody has to show who he is.
func New(o Options) (*Server, error) {
	if o.SocketMode == 0 {
		o.SocketMode = defaultSocketMode
	}
	gate := auth.NewGate(o.Options, busy)
	s := &Server{
		o: o, gate: gate, page: page.New(o.Agent, gate), stopping: make(chan struct{}), anonymousStreams: make(chan struct{}, maxAnonymousStreams),
		refused: rate.NewLimiter(refusedRate, refusedBurst), scrapes: auth.NewShares(),
	}
	if o.Listen == "" {
		return s, nil
	}
	if err := auth.CheckConfig(o.Config); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("http listener %q: %w", o.Listen, err)
	}
	return s, gate.ListensAt(o.Listen, auth.IsLoopback(host))
}

// Handler answers what comes in over TCP, or over the unix socket. It is for
// tests; Serve uses it.
func (s *Server) Handler(unix bool) http.Handler {
	h := noteCaller(s.gate.CheckOrigin(readBody(answering(s.routes()))))
	if unix {
		return secured(s.audited(auth.Unix(h)))
	}
	return secured(s.audited(s.gate.CheckHost(s.page.SignInFirst(h, s.gate.CheckAccess(h)))))
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
