package nomad

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// plainTimeout is more than a server holds a read without a leader (5 s).
	plainTimeout = 15 * time.Second
	// maxBody bounds a reply, maxFault what is read of one that is none.
	maxBody  = 32 << 20
	maxFault = 4 << 10
)

// An ask is one way to put the question. A plain one, which is the zero value, is
// answered by the leader, once it has proved to be one: Nomad knows no read that
// is more consistent.
type ask struct {
	// index makes it a blocking query, which waits up to wait for a higher one.
	index uint64
	wait  time.Duration
	stale bool // any server may answer
}

// timeout is after how long there will be no answer: the server adds up to a
// 16th to the wait.
func (a ask) timeout() time.Duration {
	if a.index == 0 {
		return plainTimeout
	}
	return a.wait + a.wait/16 + plainTimeout
}

// get asks once, and once more if the token was refused and there is a new one.
// Its errors are ctx's own or a [discovery.Error]. For a blocking query the caller
// has a place.
func (c *Client) get(ctx context.Context, q Query, a ask) (reply, error) {
	if a.index == 0 {
		leave, err := c.budget.read(ctx)
		if err != nil {
			return reply{}, err
		}
		defer leave()
	}
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(q, a), nil)
	if err != nil {
		return reply{}, discovery.Errorf(discovery.Config, "%w", err)
	}
	if token != "" {
		req.Header.Set("X-Nomad-Token", token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, discovery.Errorf(discovery.Transport, "ask Nomad: %w", cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return reply{}, refused(resp)
	}
	r := parseHeader(resp.Header)
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return reply{}, discovery.Errorf(discovery.Transport, "read Nomad's reply: %w", ctx.Err())
	case err == nil && len(raw) > maxBody:
		return reply{}, discovery.Errorf(discovery.Protocol, "Nomad's reply is larger than %d bytes", maxBody)
	case err == nil:
		r.list, err = decode(raw)
	}
	if err != nil {
		return reply{}, discovery.Errorf(discovery.Protocol, "read Nomad's reply: %w", err)
	}
	return r, nil
}

func (c *Client) url(q Query, a ask) string {
	u := c.base
	u.Path += "/v1/service/" + q.Service
	v := url.Values{}
	for key, value := range map[string]string{"namespace": c.opts.Namespace, "region": c.opts.Region, "filter": q.Filter} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if a.stale {
		v.Set("stale", "")
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

// refused is the error for a status other than 200.
func refused(resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxFault)) // the status alone says enough
	return discovery.Errorf(classOf(resp.StatusCode), "Nomad answered %d: %s",
		resp.StatusCode, discovery.Printable(strings.TrimSpace(string(raw)), 160))
}

// classOf returns what a status means. A 404 is an agent that is older than 1.3,
// which has no services of its own, or another program: a service that is not
// there is a 200.
func classOf(status int) discovery.Class {
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return discovery.Busy
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return discovery.Auth
	case status >= 400 && status < 500:
		return discovery.Config
	case status >= 500:
		return discovery.Server
	}
	return discovery.Protocol
}
