package consul

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// TLS says how an https agent is spoken to. The zero value trusts the system's
// authorities and sends no certificate.
type TLS struct {
	// CAFile holds the authorities in PEM; it is read once.
	CAFile string
	// CertFile and KeyFile are the client's certificate; they are read for every
	// connection, so that they can be renewed. Both or none.
	CertFile, KeyFile string
	// ServerName is expected in the server's certificate instead of the host of
	// the address.
	ServerName string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &cert, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}

const (
	// connections is half of what an agent grants one address by default
	// (http_max_conns_per_client 200): other programs on the host share it. Over
	// HTTP/1 every watch holds one.
	connections = 100
	// multiplexed is enough connections for a thousand watches over HTTP/2, and
	// keeps a cold start from dialling once for each.
	multiplexed = 4
)

func newTransport(scheme, socket string, t TLS) (http.RoundTripper, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	if scheme == "https" {
		return &secure{few: pool(socket, config, multiplexed), many: pool(socket, config, connections)}, nil
	}
	return pool(socket, config, connections), nil
}

// pool returns a transport that opens at most most connections.
func pool(socket string, config *tls.Config, most int) *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config.Clone(), // the transport writes to it
		TLSHandshakeTimeout:    10 * time.Second,
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
	if socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return t
}

// secure sends requests over few connections until the server turns out not to
// speak HTTP/2, where each blocking query needs one of its own.
type secure struct {
	few, many *http.Transport
	http1     atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (s *secure) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.http1.Load() {
		return s.many.RoundTrip(r)
	}
	resp, err := s.few.RoundTrip(r)
	if err == nil && resp.ProtoMajor == 1 {
		s.http1.Store(true)
	}
	return resp, err
}

// CloseIdleConnections is what [http.Client] looks for.
func (s *secure) CloseIdleConnections() {
	s.few.CloseIdleConnections()
	s.many.CloseIdleConnections()
}
