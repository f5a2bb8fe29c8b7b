package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/owner"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// An Access is by what an agent and who asks it know each other over TCP. The zero
// value trusts the system's authorities and shows nothing. Over a unix socket none of
// it is used.
type Access struct {
	// Token returns the bearer token, "" for none. May be nil.
	Token func() string
	// User and Password are shown where there is no token. User is "" for none, and
	// has no colon (RFC 7617, section 2).
	User, Password string
	// KnownTo reports whether a user of this machine may know token and password: who can
	// read them anyway. Over HTTP without TLS nobody else is shown them, but root and the
	// user of this process. May be nil.
	KnownTo func(uid int) bool
	// TLS says who an agent at https:// has to be, and which certificate it is shown.
	TLS longpoll.TLS
}

// show puts into a request who asks.
func (a Access) show(req *http.Request) {
	if a.Token != nil {
		if token := a.Token(); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
			return
		}
	}
	if a.User != "" {
		req.SetBasicAuth(a.User, a.Password)
	}
}

// secure has transport speak TLS as a says.
func (a Access) secure(transport *http.Transport) error {
	trust, err := longpoll.NewTrust(a.TLS)
	if err != nil {
		return err
	}
	transport.DialTLSContext = trust.Dialer(new(net.Dialer).DialContext)
	transport.ForceAttemptHTTP2 = true // it is what the dialer prefers
	return nil
}

// shows reports whether a request says who asks.
func (a Access) shows() bool { return a.User != "" || a.Token != nil && a.Token() != "" }

// A strangerError says that who listens at an address is not who may be shown a secret.
type strangerError struct{ uid int }

// Error says who it is.
func (e *strangerError) Error() string {
	if e.uid == owner.Unknown {
		return "it is not known who listens there"
	}
	return "user " + owner.Name(e.uid) + " listens there"
}

// dialPlain connects to an agent that does not prove who it is. Where the agent is stopped any
// user of this machine can listen in its place, and would be shown the token.
func (c *Client) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || !c.by.shows() {
		return conn, err
	}
	local, remote, here := owner.Local(conn)
	if !here {
		return conn, nil
	}
	// The listener first: while it is there, whose it is, nobody else has taken the
	// connection that does not own its other end by now.
	for _, uid := range []int{owner.Listening(remote), owner.Connected(remote, local)} {
		if uid != 0 && uid != os.Geteuid() && (uid == owner.Unknown || c.by.KnownTo == nil || !c.by.KnownTo(uid)) {
			return nil, errors.Join(&strangerError{uid}, conn.Close())
		}
	}
	return conn, nil
}

// request is one that says who asks.
func (c *Client) request(ctx context.Context, method, path string, with io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, with)
	if err == nil {
		c.by.show(req)
	}
	return req, err
}

// hungUp reports whether the other end has closed the connection. A server that wants
// another certificate does so after the handshake, and what it says about it may be
// lost on the way (RFC 8446, section 4.4.2.4).
func hungUp(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return true
	}
	return strings.Contains(err.Error(), "remote error: tls: ") || strings.Contains(err.Error(), "http2: client conn")
}

// unreachable says what to do about an agent that was not heard.
func (c *Client) unreachable(err error) error {
	// The URL that it wraps is not what people configured.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	stranger, strange := errors.AsType[*strangerError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case strange:
		return fmt.Errorf("the agent at %s is not asked: %w, and may not be shown the token or password: is slotsync running? Otherwise name its socket with --agent, or an address of https://", c.addr, stranger)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no agent listens at %s: is slotsync running? (%w)", c.addr, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s is for root and its group: use sudo, or join the group (http.socket_group), or ask over http.listen: --agent http://127.0.0.1:9750 (%w)", c.addr, err)
	case untrusted:
		return fmt.Errorf("the agent at %s does not prove that it is the one: name its authority with --ca-file (%w)", c.addr, err)
	case strings.HasPrefix(c.base, "https:") && hungUp(err):
		return fmt.Errorf("the agent at %s ends the connection: is it the certificate that --cert-file and --key-file show? (%w)", c.addr, err)
	}
	return fmt.Errorf("the agent at %s does not answer: %w", c.addr, err)
}
