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
	"strings"
	"syscall"

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
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
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
