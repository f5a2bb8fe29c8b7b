package longpoll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	lookEvery     = 5 * time.Second  // how often files are looked at
	handshakeTime = 10 * time.Second // for a TLS handshake
	maxCAFiles    = 1000
	maxCAFile     = 4 << 20
)

// TLS says how a system is spoken to over TLS. The zero value trusts the
// system's authorities and sends no certificate. All files are read again when
// they change, which is looked at every 5 seconds at most, when a connection is
// made; new ones that are faulty do not replace good ones.
type TLS struct {
	// CAFile holds authorities in PEM; CAPath is a directory of such files, and of
	// no others, but for those whose names begin with a dot. If either is given,
	// the system's authorities are not trusted.
	CAFile, CAPath string
	// CertFile and KeyFile are the client's certificate. Both or none.
	CertFile, KeyFile string
	// ServerName is expected in the server's certificate instead of the host of
	// the address.
	ServerName string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
}

// Trust makes TLS connections by what files hold at the time. It is safe for
// concurrent use.
type Trust struct {
	opts TLS

	mu      sync.Mutex // guards following
	looked  time.Time
	stamp   string // of the files that the rest was read from, or could not be
	roots   *x509.CertPool
	cert    *tls.Certificate
	problem error // with the files as they are now
}

// NewTrust reads the files of t.
func NewTrust(t TLS) (*Trust, error) {
	out := &Trust{opts: t, looked: time.Now()}
	out.read()
	return out, out.problem
}

// Remarks says, for [discovery.Activity], what is wrong with the files, in place of which
// earlier ones are used; nil if nothing is.
func (t *Trust) Remarks() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.problem == nil {
		return nil
	}
	return []string{discovery.Printable("earlier TLS files are used: "+t.problem.Error(), 300)}
}

// Dialer returns a function for [net/http.Transport].DialTLSContext, which prefers
// HTTP/2 (RFC 7540, 3.3). dial connects; the handshake after it may take 10
// seconds.
func (t *Trust) Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, t.config(address))
		ctx, cancel := context.WithTimeout(ctx, handshakeTime)
		defer cancel()
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return conn, nil
	}
}

// transport returns one that makes at most most connections by dial, and speaks TLS
// with https as t says.
func (t *Trust) transport(dial Dial, most int) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		DialTLSContext:         t.Dialer(dial),
		MaxConnsPerHost:        most,
		MaxIdleConnsPerHost:    most,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Agents are near: packing costs them more time than the wire does, and what is
		// not unpacked cannot explode.
		DisableCompression: true,
		ForceAttemptHTTP2:  true, // a proxy in between may speak it where the agent does not
		// A dead connection would otherwise swallow every watch on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

func (t *Trust) config(address string) *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.looked) >= lookEvery {
		t.looked = now
		if t.opts.stamp() != t.stamp {
			t.read()
		}
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, RootCAs: t.roots,
		ServerName: t.opts.ServerName, InsecureSkipVerify: t.opts.InsecureSkipVerify,
	}
	if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	if cert := t.cert; cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return c
}

// read needs t.mu held, or t to be unknown to others. What cannot be read stays
// as it was, each of the authorities and the certificate for itself.
func (t *Trust) read() {
	t.stamp, t.problem = t.opts.stamp(), nil
	if cert, err := t.opts.certificate(); err != nil {
		t.problem = fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
	} else {
		t.cert = cert
	}
	if roots, err := t.opts.authorities(); err != nil {
		t.problem = err
	} else {
		t.roots = roots
	}
}

func (t TLS) certificate() (*tls.Certificate, error) {
	if t.CertFile == "" && t.KeyFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	return &cert, err
}

// authorities returns nil for the system's.
func (t TLS) authorities() (*x509.CertPool, error) {
	if t.CAFile == "" && t.CAPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if t.CAFile != "" {
		if err := addAuthorities(pool, t.CAFile); err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
	}
	if t.CAPath == "" {
		return pool, nil
	}
	files, err := t.caFiles()
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no file", t.CAPath)
	}
	for _, file := range files {
		if err == nil {
			err = addAuthorities(pool, file)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("tls.ca_path: %w", err)
	}
	return pool, nil
}

func addAuthorities(pool *x509.CertPool, path string) error {
	info, err := os.Stat(path)
	// Opening a pipe would block until somebody writes to it.
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxCAFile) {
		return fmt.Errorf("%s is not a file of certificates", path)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", path)
	}
	return nil
}

// caFiles lists what is in CAPath, but folders. Kubernetes mounts files as links
// beside folders whose names begin with dots.
func (t TLS) caFiles() ([]string, error) {
	entries, err := os.ReadDir(t.CAPath)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(t.CAPath, e.Name()))
		}
	}
	if len(files) > maxCAFiles {
		return nil, fmt.Errorf("%s holds more than %d files", t.CAPath, maxCAFiles)
	}
	return files, nil
}

// stamp changes when a file does.
func (t TLS) stamp() string {
	var files []string
	if t.CAPath != "" {
		files, _ = t.caFiles() // an unreadable one looks empty, which is a change too
	}
	var b strings.Builder
	for _, file := range append(files, t.CAFile, t.CertFile, t.KeyFile) {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%s is gone\n", file)
			continue
		}
		fmt.Fprintf(&b, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
