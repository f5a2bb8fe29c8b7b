// Package client asks an agent over its HTTP API, as the commands do.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

const (
	// clientTimeout is more than a server takes to give up by itself.
	clientTimeout = api.AnswerTimeout + 5*time.Second
	// maxAnswer bounds what a client reads: the status of 100,000 slots fits.
	maxAnswer = 256 << 20
	// maxDetail bounds the text of an error, in runes.
	maxDetail = 2000
	// slowAnswer is how long somebody looks at nothing before he is told what is waited for.
	slowAnswer = 2 * time.Second
)

// A Client asks an agent, as the command line does. Its errors are one line each
// and say what to do; a call is bounded by its context and by 65 s.
type Client struct {
	// Slow, if not nil, is told what has not been answered for 2 s, as in
	// "GET /v1/status of unix:///run/slotsync/slotsync.sock": once for each call,
	// before the call returns, and by calls at the same time at the same time.
	Slow func(question string)
	// Warn, if not nil, is told what went wrong besides, where something was done all the same.
	Warn func(doubt string)

	addr string // as it was given
	base string // of every URL
	by   Access
	http *http.Client
}

// New returns a client of the agent at addr: unix:///path, http://host:port
// or https://host:port. It reads the files that by names. Nothing is connected yet.
// An address that may hold a password is refused, and not quoted.
func New(addr string, by Access) (*Client, error) {
	const want = "the agent's address is unix:///path, http://host:port or https://host:port"
	u, err := url.Parse(addr)
	c := &Client{addr: addr, by: by}
	transport := &http.Transport{DisableKeepAlives: true}
	switch {
	case err == nil && u.Scheme == "unix" && u.Host == "" && u.Path != "":
		c.base, c.by = "http://localhost", Access{}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && strings.Trim(u.Path, "/") == "":
		c.base = u.Scheme + "://" + u.Host
		transport.DialContext = c.dialPlain
	case strings.Contains(addr, "@"): // what stands before it may be a password
		return nil, errors.New(want + ": who asks is not said there (--token-file, --user)")
	default:
		return nil, fmt.Errorf(want+", not %q", discovery.Printable(addr, 200))
	}
	if u.Scheme == "https" {
		if err := by.secure(transport); err != nil {
			return nil, fmt.Errorf("%s: %w", addr, err)
		}
	}
	c.http = &http.Client{
		Transport: transport,
		Timeout:   clientTimeout,
		// Nothing is ever elsewhere; a token must not follow there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Status asks what the agent knows and does.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return c.statusOf(ctx, http.MethodGet, "/v1/status")
}

// Sync starts a round and waits until every reachable instance was compared.
func (c *Client) Sync(ctx context.Context) (api.Status, error) {
	return c.statusOf(ctx, http.MethodPost, "/v1/sync")
}

// Accept has that go which the id stands for: a hold of a backend, what is kept of it, or
// a takeover. The error wraps [api.ErrNoBackend], [api.ErrNothingHeld] or
// [api.ErrNoSuchID] if that is why it could not.
func (c *Client) Accept(ctx context.Context, backend string, body api.AcceptBody) (api.Accepted, error) {
	answer, err := c.do(ctx, http.MethodPost, "/v1/backends/"+url.PathEscape(backend)+"/accept", body)
	return decode[api.Accepted](answer, err, reply.accept)
}

// accept returns why the reply does not say what went.
func (r reply) accept() error {
	reasons := map[int][]error{http.StatusNotFound: {api.ErrNoBackend}, http.StatusConflict: {api.ErrNothingHeld, api.ErrNoSuchID}}
	for _, reason := range reasons[r.status] {
		if r.kind == api.ProblemType && strings.Contains(r.detail(), reason.Error()) {
			return &refusedError{r.detail(), reason}
		}
	}
	return r.ok()
}

// ErrDenied is the reason of what the agent refuses for who asks.
var ErrDenied = errors.New("not for who asks")

// A refusedError is what an agent said, for a reason that callers know.
type refusedError struct {
	detail string
	reason error
}

// Error returns what the agent said.
func (e *refusedError) Error() string { return e.detail }

// Unwrap returns the reason.
func (e *refusedError) Unwrap() error { return e.reason }

// Explain asks why a backend is as it is, or an address or a slot in it: about is
// ip:port, [v6]:port, an IP address, the name of a slot, or "" for the backend as a
// whole. The error wraps [api.ErrNoBackend] or [api.ErrNoSubject] if there is no
// such thing.
func (c *Client) Explain(ctx context.Context, backend, about string) (api.Explanation, error) {
	path := "/v1/backends/" + url.PathEscape(backend) + "/explain"
	if about != "" {
		path += "/" + url.PathEscape(about)
	}
	answer, err := c.do(ctx, http.MethodGet, path, nil)
	return decode[api.Explanation](answer, err, func(r reply) error {
		for _, none := range []error{api.ErrNoBackend, api.ErrNoSubject} {
			if r.status == http.StatusNotFound && strings.Contains(r.detail(), none.Error()) {
				return fmt.Errorf("explain %s: %w", strings.TrimSpace(backend+" "+about), none)
			}
		}
		return r.ok()
	})
}

// Metrics returns the series of the agent, in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	answer, err := c.do(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	return answer.body, answer.ok()
}

// Reload makes the agent read its configuration again, with drain after the
// slots that it no longer serves were taken out of service. The error says why
// the old one stays in force.
func (c *Client) Reload(ctx context.Context, drain bool) error {
	path := "/-/reload"
	if drain {
		path += "?" + api.DrainRemoved + "=true"
	}
	answer, err := c.do(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	return answer.want(http.StatusNoContent)
}

// Ready returns why the agent is not ready, nothing if it is. The error says that
// it could not be asked.
func (c *Client) Ready(ctx context.Context) (reasons []string, err error) {
	answer, err := c.do(ctx, http.MethodGet, "/-/ready", nil)
	if err != nil {
		return nil, err
	}
	if answer.kind != api.TextType || answer.status != http.StatusServiceUnavailable {
		return nil, answer.says(api.ReadyText)
	}
	for line := range strings.Lines(string(answer.body)) {
		reasons = append(reasons, discovery.Printable(strings.TrimSpace(line), maxDetail))
	}
	return reasons, nil
}

// Live asks whether the loop of the agent runs. The error says why it does not, or that it
// could not be asked.
func (c *Client) Live(ctx context.Context) error {
	answer, err := c.do(ctx, http.MethodGet, "/-/healthy", nil)
	switch {
	case err != nil:
		return err
	case answer.kind == api.TextType && answer.status == http.StatusInternalServerError:
		return errors.New(discovery.Printable(strings.TrimSpace(string(answer.body)), maxDetail))
	}
	return answer.says(api.HealthyText)
}

func (c *Client) statusOf(ctx context.Context, method, path string) (api.Status, error) {
	answer, err := c.do(ctx, method, path, nil)
	return decode[api.Status](answer, err, reply.ok)
}

// A reply is what came back, whatever it says.
type reply struct {
	addr   string
	status int
	kind   string
	etag   string // without quotes
	body   []byte
}

// do asks, with a body if there is one.
func (c *Client) do(ctx context.Context, method, path string, body any) (reply, error) {
	if body == nil {
		return c.send(ctx, method, path, nil, "")
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return reply{}, err
	}
	return c.send(ctx, method, path, bytes.NewReader(raw), "")
}

// send asks for what has that tag; "" for anything, "*" for what is there.
func (c *Client) send(ctx context.Context, method, path string, with io.Reader, etag string) (reply, error) {
	req, err := c.request(ctx, method, path, with)
	if err != nil {
		return reply{}, err
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", api.BodyType(method, path))
	}
	switch etag {
	case "":
	case "*":
		req.Header.Set("If-Match", etag)
	default:
		req.Header.Set("If-Match", `"`+etag+`"`)
	}
	defer c.watch(method + " " + path + " of " + c.addr)()
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, c.unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return reply{}, c.unreachable(err)
	}
	if len(body) > maxAnswer {
		return reply{}, fmt.Errorf("what answers at %s does not end: is it slotsync?", c.addr)
	}
	if doubt := resp.Header.Get(api.WarningHeader); doubt != "" && c.Warn != nil {
		c.Warn(discovery.Printable(doubt, 200))
	}
	etag = strings.Trim(resp.Header.Get("ETag"), `"`)
	return reply{c.addr, resp.StatusCode, resp.Header.Get("Content-Type"), etag, body}, nil
}

// watch has Slow told of a question that is not answered soon, until the answer is there:
// that is when to call what it returns.
func (c *Client) watch(question string) (answered func()) {
	if c.Slow == nil {
		return func() {}
	}
	told := make(chan struct{})
	timer := time.AfterFunc(slowAnswer, func() {
		defer close(told)
		c.Slow(question)
	})
	return func() {
		if !timer.Stop() {
			<-told
		}
	}
}

// decode reads what came back, unless refused says why it is not what was asked for.
func decode[T any](r reply, err error, refused func(reply) error) (v T, _ error) {
	if err == nil {
		err = refused(r)
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		var none T
		return none, fmt.Errorf("what answers at %s is no slotsync: %w", r.addr, err)
	}
	return v, nil
}

// want turns everything but the status that means success into one line.
func (r reply) want(status int) error {
	switch {
	case r.status == status:
		return nil
	case r.status < 400:
		return fmt.Errorf("what answers at %s is no slotsync: %d %s", r.addr, r.status, http.StatusText(r.status))
	case r.status == http.StatusUnauthorized:
		return &refusedError{fmt.Sprintf("the agent at %s refuses: %s (--token-file, or --user and --password-file)", r.addr, r.detail()), ErrDenied}
	case r.status == http.StatusForbidden:
		return &refusedError{r.detail(), ErrDenied}
	case r.status == http.StatusNotFound && r.kind == api.ProblemType && !strings.HasPrefix(r.detail(), api.NothingAt):
		return errors.New(r.detail()) // the path is right, and what it names is not there
	case r.status == http.StatusBadRequest && strings.HasPrefix(string(r.body), "Client sent an HTTP request to an HTTPS server"):
		return fmt.Errorf("the agent at %s speaks TLS: name it as https://", r.addr)
	case r.status == http.StatusNotFound, r.status == http.StatusMethodNotAllowed:
		return fmt.Errorf("the agent at %s cannot do this: is it an older version, or something else? (%s)", r.addr, r.detail())
	}
	return errors.New(r.detail())
}

func (r reply) ok() error { return r.want(http.StatusOK) }

// says returns nil if the reply is that text.
func (r reply) says(text string) error {
	if err := r.ok(); err != nil {
		return err
	}
	if r.kind != api.TextType || string(r.body) != text+"\n" {
		return fmt.Errorf("what answers at %s is no slotsync", r.addr)
	}
	return nil
}

// detail is what a problem says, or the status of anything else.
func (r reply) detail() string {
	var p api.Problem
	if r.kind == api.ProblemType && json.Unmarshal(r.body, &p) == nil && p.Detail != "" {
		return discovery.Printable(strings.ReplaceAll(p.Detail, "\n", "; "), maxDetail)
	}
	return fmt.Sprintf("%s answers %d %s", r.addr, r.status, http.StatusText(r.status))
}
