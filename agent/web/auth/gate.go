// Package auth says who sends a request, and what they may do.
//
// Over the unix socket everybody who may open it may do everything. So may, over TCP,
// who shows a bearer token, a client certificate, or a user and his password; with the
// token for reading one may read. Without one of these nothing is answered, except on a
// loopback listener, as [Options.Loopback] says. A browser shows the cookie of a session.
// Every request over TCP must name a host that the listener is known by, and every change
// that a browser sends must come from there: a page somewhere else can make a browser
// talk to 127.0.0.1, and a host name can be made to resolve to it.
package auth

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Options says by what somebody is known, and what they may do.
type Options struct {
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
	// Log takes what goes wrong, as warnings. Nil for nowhere.
	Log *slog.Logger
}

// A Gate lets requests pass, or refuses them. [NewGate] makes one.
type Gate struct {
	o        Options
	loopback bool // the TCP listener can be reached from this machine only
	// toolkit checks requests as Config says; nil: none does. It is there with the first connection.
	toolkit  atomic.Pointer[http.Handler]
	sessions sessions // of who signed in on the page
	// checks are those of passwords that are under way: each takes a while, one at a time.
	checks *Shares
	busy   func(*http.Request) (done func())
}

// NewGate returns the gate of a listener that is not known yet. busy notes that the connection
// of a request that may not have arrived whole is at work nevertheless, until what it returns
// is called; nil: nobody wants to know.
func NewGate(o Options, busy func(*http.Request) (done func())) *Gate {
	if o.Token == nil {
		o.Token = func() string { return "" }
	}
	if o.ReadToken == nil {
		o.ReadToken = func() string { return "" }
	}
	if o.MaxFor == 0 {
		o.MaxFor = DefaultMaxFor
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = slog.New(redactHandler{o.Log.Handler()})
	if busy == nil {
		busy = func(*http.Request) func() { return func() {} }
	}
	return &Gate{o: o, checks: NewShares(), busy: busy}
}

// Log is the log of the options, without what a file like [Options.Config] holds.
func (g *Gate) Log() *slog.Logger { return g.o.Log }

// ListensAt notes where the TCP listener is, and whether it can be reached from this
// machine only. It fails where others can reach it and nobody has to show who he is.
func (g *Gate) ListensAt(listen string, loopback bool) error {
	g.loopback = loopback
	if g.loopback || g.o.Token() != "" || g.o.ReadToken() != "" {
		return nil
	}
	if asks, err := ReadConfig(g.o.Config); err != nil || asks.Knows() {
		return err
	}
	return fmt.Errorf("http listener %s can be reached from other machines and asks for no token, client certificate or password: "+
		"give it one of these, or let it listen on 127.0.0.1", listen)
}

// IsLoopback reports whether a host is one of this machine alone.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
