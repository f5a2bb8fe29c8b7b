package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// plainTimeout is more than an agent holds a read without a leader (7 s).
	plainTimeout = 15 * time.Second
	// maxBody bounds a reply, maxFault what is read of one that is none.
	maxBody  = 32 << 20
	maxFault = 4 << 10
)

// consistent is the read that waits until the leader has proved to be one.
const consistent = "consistent"

// An ask is one way to put the question.
type ask struct {
	// mode is Default, Stale, Cached or consistent.
	mode string
	// index makes it a blocking query, which waits up to wait for a higher one.
	// 0: a plain read.
	index uint64
	wait  time.Duration
}

// timeout is after how long there will be no answer: the server adds up to a
// 16th to the wait.
func (a ask) timeout() time.Duration {
	if a.index == 0 {
		return plainTimeout
	}
	return a.wait + a.wait/16 + plainTimeout
}

// get asks as soon as that is allowed, and once more if the token was refused and
// there is a new one. Its errors are ctx's own or a [discovery.Error].
func (c *Client) get(ctx context.Context, q Query, a ask) (reply, error) {
	if a.index > 0 {
		if err := c.budget.brake.wait(ctx); err != nil {
			return reply{}, err
		}
	} else {
		leave, err := c.budget.read(ctx, c.wire.http1.Load())
		if err != nil {
			return reply{}, err
		}
		defer leave()
	}
	r, err := c.authorized(ctx, q, a)
	if err != nil && discovery.ClassOf(err) == discovery.Busy {
		c.budget.brake.pull()
	}
	return r, err
}

func (c *Client) authorized(ctx context.Context, q Query, a ask) (reply, error) {
	token := c.token()
	r, err := c.once(ctx, q, a, token)
	if discovery.ClassOf(err) != discovery.Auth {
		return r, err
	}
	if c.opts.Denied != nil {
		c.opts.Denied()
	}
	if renewed := c.token(); renewed != token {
		return c.once(ctx, q, a, renewed)
	}
	return r, err
}

func (c *Client) token() string {
	if c.opts.Token == nil {
		return ""
	}
	return c.opts.Token()
}

func (c *Client) once(ctx context.Context, q Query, a ask, token string) (reply, error) {
	limited, cancel := context.WithTimeout(ctx, a.timeout())
	defer cancel()
	r, err := c.exchange(limited, q, a, token)
	if err != nil && ctx.Err() != nil {
		return reply{}, ctx.Err()
	}
	return r, err
}

func (c *Client) exchange(ctx context.Context, q Query, a ask, token string) (reply, error) {
	if err := c.suits(ctx, q, token); err != nil {
		return reply{}, err
	}
	resp, err := c.open(ctx, c.url(q, a), token)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r := parseHeader(resp.Header)
	r.token, r.mode = token != "", a.mode
	if r.entries, err = readEntries(resp.Body); err != nil {
		c.agent.lose()
		return reply{}, bodyError(ctx, err)
	}
	if err := c.shown(r); err != nil {
		return reply{}, err
	}
	return r, nil
}

// open returns what is at a URL if it is answered by a 200; the caller closes its
// body.
func (c *Client) open(ctx context.Context, url, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, discovery.Errorf(discovery.Config, "%w", err)
	}
	if token != "" {
		req.Header.Set("X-Consul-Token", token)
	}
	if c.opts.Auth != nil {
		if user, password := c.opts.Auth(); user != "" {
			req.SetBasicAuth(user, password)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.agent.lose()
		return nil, discovery.Errorf(discovery.Transport, "ask Consul: %w", cause(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refused(resp)
	}
	return resp, nil
}

// readEntries reads the body to its end before it decodes, which lets the
// connection be used again. It also bounds the work: a decoder that is fed in
// small pieces scans blanks between them again and again.
func readEntries(body io.Reader) ([]entry, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxBody:
		return nil, fmt.Errorf("it is larger than %d bytes", maxBody)
	}
	return decode(raw)
}

func (c *Client) url(q Query, a ask) string {
	u := c.base
	u.Path += "/v1/health/service/" + q.Service
	v := url.Values{}
	for key, value := range map[string]string{
		"dc": c.datacenter(q), "ns": c.opts.Namespace, "partition": c.opts.Partition, "filter": q.Filter,
	} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if len(q.Tags) > 0 {
		v["tag"] = q.Tags
	}
	if len(q.NodeMeta) > 0 {
		v["node-meta"] = q.NodeMeta
	}
	if a.mode != Default {
		v.Set(a.mode, "")
	}
	if a.index > 0 {
		v.Set("index", strconv.FormatUint(a.index, 10))
		v.Set("wait", strconv.FormatInt(a.wait.Milliseconds(), 10)+"ms")
	}
	u.RawQuery = v.Encode()
	return u.String()
}

// cause leaves out the URL, which makes messages long and says nothing new.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// bodyError tells a connection that broke off, or took too long, from a body
// that is no answer.
func bodyError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return discovery.Errorf(discovery.Transport, "read Consul's reply: %w", ctx.Err())
	}
	return discovery.Errorf(discovery.Protocol, "read Consul's reply: %w", err)
}

// refused is the error for a status other than 200.
func refused(resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxFault)) // the status alone says enough
	body := strings.TrimSpace(string(raw))
	return discovery.Errorf(classOf(resp.StatusCode, body), "Consul answered %d: %s",
		resp.StatusCode, discovery.Printable(body, 160))
}

func classOf(status int, body string) discovery.Class {
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return discovery.Busy
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return discovery.Auth
	case strings.Contains(body, "boolean expression"): // a faulty filter is a 500
		return discovery.Config
	case status >= 400 && status < 500:
		return discovery.Config
	case status >= 500:
		return discovery.Server
	}
	return discovery.Protocol
}
