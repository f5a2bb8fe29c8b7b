package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
)

// This file serves the TCP listener as a file of Prometheus' exporter-toolkit says
// (https://prometheus.io/docs/prometheus/latest/configuration/https/).

// A Config is what a file asks of those who come over TCP.
type Config struct {
	// TLS: they speak HTTPS.
	TLS bool
	// Certificates: they may, or have to, show a certificate that an authority of
	// the file has signed. One that nobody checks, or that any authority in the
	// world may have signed, is none.
	Certificates bool
	// Users: each request needs a user and a password, or a token.
	Users bool
}

// Knows reports whether the file says by what somebody is known.
func (c Config) Knows() bool { return c.Certificates || c.Users }

// fileConfig is what is read of a file; the toolkit reads all of it.
type fileConfig struct {
	TLS struct {
		Cert     string `yaml:"cert"`
		CertFile string `yaml:"cert_file"`
		Auth     string `yaml:"client_auth_type"`
		CA       string `yaml:"client_ca"`
		CAFile   string `yaml:"client_ca_file"`
	} `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"`
}

// ReadConfig says what the file at path asks for; nothing if path is "". It does not
// check the rest of it: see [CheckConfig]. Errors show nothing of its values.
func ReadConfig(path string) (Config, error) {
	f, err := readConfigFile(path)
	if err != nil {
		return Config{}, err
	}
	checked := f.TLS.Auth == "VerifyClientCertIfGiven" || f.TLS.Auth == "RequireAndVerifyClientCert"
	return Config{
		TLS:          f.TLS.Cert != "" || f.TLS.CertFile != "",
		Certificates: checked && (f.TLS.CA != "" || f.TLS.CAFile != ""),
		Users:        len(f.Users) > 0,
	}, nil
}

// readConfigFile reads the file at path, nothing if path is "".
func readConfigFile(path string) (f fileConfig, err error) {
	if path == "" {
		return f, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return f, configError(path, err)
	}
	if !info.Mode().IsRegular() { // a pipe would block until somebody writes to it
		return f, configError(path, errors.New("is no regular file"))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return f, configError(path, err)
	}
	if err := yaml.Unmarshal(data, &f); err != nil {
		return f, configError(path, err)
	}
	return f, nil
}

// CheckConfig returns why the file at path cannot be served with, nil if path is "".
// It reads the certificates that the file names. Errors show nothing of its values.
func CheckConfig(path string) error {
	if _, err := ReadConfig(path); err != nil {
		return err
	}
	if err := toolkit.Validate(path); err != nil {
		return configError(path, err)
	}
	return nil
}

func configError(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == path {
		err = e.Err
	}
	return fmt.Errorf("http.web_config_file %s: %s", path, withoutValues(err.Error()))
}

// cited is how the parsers of YAML cite what they cannot read.
const cited = "`[^`]*`|anchor '[^']*'"

// withoutValues is a text without the values that a parser of YAML cites: what is
// wrong in that file may be a secret that stands where it should not.
func withoutValues(text string) string {
	return strings.ReplaceAll(regexp.MustCompile(cited).ReplaceAllString(text, "a value"), "\n", ";")
}

// redactHandler is a log for what reads such files.
type redactHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (d redactHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, withoutValues(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(withoutValues(a.Value.String()))
		}
		out.AddAttrs(a)
		return true
	})
	return d.Handler.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (d redactHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactHandler{d.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (d redactHandler) WithGroup(name string) slog.Handler {
	return redactHandler{d.Handler.WithGroup(name)}
}

// Serve serves l as [Options.Config] says, which must be a file.
func (g *Gate) Serve(srv *http.Server, l net.Listener) error {
	handler := srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if v, ok := w.(*toolkitAnswer); ok {
			v.passed = true
		}
	})
	// The toolkit puts its checks before the handler that it is given, and would
	// refuse who shows a token. It is given one that passes nothing on, and its
	// checks are asked in CheckAccess.
	adopt := func() {
		gate := srv.Handler
		g.toolkit.Store(&gate)
		srv.Handler = handler
	}
	return toolkit.Serve(&handlerSwap{Listener: l, adopt: sync.OnceFunc(adopt)}, srv, &toolkit.FlagConfig{WebConfigFile: &g.o.Config}, g.o.Log)
}

// handlerSwap does something before the first connection.
type handlerSwap struct {
	net.Listener
	adopt func()
}

// Accept implements [net.Listener].
func (l *handlerSwap) Accept() (net.Conn, error) {
	l.adopt()
	return l.Listener.Accept()
}

// A toolkitAnswer says whether a request passes the checks of the
// toolkit. Its text goes nowhere.
type toolkitAnswer struct {
	header http.Header
	status int
	passed bool
}

// Header implements [http.ResponseWriter].
func (v *toolkitAnswer) Header() http.Header { return v.header }

// Write implements [http.ResponseWriter].
func (v *toolkitAnswer) Write(text []byte) (int, error) { return len(text), nil }

// WriteHeader implements [http.ResponseWriter].
func (v *toolkitAnswer) WriteHeader(status int) { v.status = status }

// An askedToolkit is what the file, asked for a request, says of who sends it.
type askedToolkit struct {
	*toolkitAnswer
	asks        Config // what the file asks for, before and after
	user        string // whose password is right; "" for none
	certificate string // whose is good; "" for none
	err         error  // why the file cannot be read
}

// askToolkit asks the file of r, which shows c. It is read before and after the checks: a
// user counts only if there are users all the time.
func (g *Gate) askToolkit(r *http.Request, c credentials) askedToolkit {
	a := askedToolkit{toolkitAnswer: &toolkitAnswer{header: http.Header{}}}
	if _, _, shown := r.BasicAuth(); shown {
		defer g.busy(r)()
		done := g.checks.Take(r)
		if done == nil {
			a.status = http.StatusTooManyRequests
			return a
		}
		defer done()
	}
	before, err := ReadConfig(g.o.Config)
	if a.err = err; err != nil {
		return a
	}
	(*g.toolkit.Load()).ServeHTTP(a.toolkitAnswer, r)
	after, err := ReadConfig(g.o.Config)
	a.err = err
	a.asks = Config{TLS: after.TLS, Certificates: before.Certificates && after.Certificates, Users: before.Users && after.Users}
	if a.err != nil {
		return a
	}
	if name, _, ok := r.BasicAuth(); ok && a.passed && a.asks.Users && len(c.authorization) == 1 {
		a.user = api.Sanitize(name)
	}
	if a.asks.Certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		a.certificate = holderOf(r.TLS.VerifiedChains[0][0])
	}
	return a
}

// holderOf is whose a certificate is.
func holderOf(c *x509.Certificate) string {
	names := slices.Concat([]string{c.Subject.CommonName}, c.EmailAddresses, c.DNSNames, []string{"the certificate's holder"})
	return api.Sanitize(names[slices.IndexFunc(names, func(name string) bool { return api.Sanitize(name) != "" })])
}

// passToolkit completes c with what the file knows of who sends r, and returns what it asks
// for. It answers and reports false where the file has r refused.
func (g *Gate) passToolkit(w http.ResponseWriter, r *http.Request, c *credentials) (Config, bool) {
	a := g.askToolkit(r, *c)
	if a.err != nil {
		g.o.Log.Warn("http.web_config_file cannot be used: nobody is let in", "err", a.err.Error())
		answer.Problem(w, http.StatusInternalServerError, "http.web_config_file cannot be read: the log says why")
		return a.asks, false
	}
	for name, values := range a.header {
		if name != "Content-Type" && name != "X-Content-Type-Options" {
			w.Header()[name] = values
		}
	}
	c.user, c.certificate = a.user, a.certificate
	known := tokenIn(c.authorization, g.o.Token()) || tokenIn(c.authorization, g.o.ReadToken()) ||
		len(c.authorization) == 0 && c.session != nil
	switch {
	case a.passed:
		return a.asks, true
	case a.status == http.StatusUnauthorized && known:
		w.Header().Del("WWW-Authenticate")
		return a.asks, true
	case a.status == http.StatusUnauthorized && len(c.authorization) == 0 && c.certificate == "" && g.anonymous(r, a.asks).May > None:
		w.Header().Del("WWW-Authenticate")
		a.asks.Users = true // it has been so for the toolkit
		return a.asks, true
	case a.status == http.StatusUnauthorized:
		g.unauthorized(w, len(c.authorization) > 0)
	default:
		answer.Problem(w, a.status, "the listener refuses: "+strings.ToLower(http.StatusText(a.status)))
	}
	return a.asks, false
}

// tokenIn reports whether the only header is the token.
func tokenIn(authorization []string, token string) bool {
	return len(authorization) == 1 && tokenMatches(authorization[0], token)
}
