package nomad

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// plainTimeout is more than a server holds a read without a leader (5 s).
	plainTimeout = 15 * time.Second
	maxBody      = 32 << 20 // of a reply
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
	return discovery.WithToken(c.opts.Token, c.opts.Denied, func(token string) (reply, error) {
		return discovery.Within(ctx, a.timeout(), func(ctx context.Context) (reply, error) { return c.exchange(ctx, q, a, token) })
	})
}

func (c *Client) exchange(ctx context.Context, q Query, a ask, token string) (reply, error) {
	resp, err := c.open(ctx, c.url(q, a), token)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r := parseHeader(resp.Header)
	raw, err := discovery.ReadBody(resp.Body, maxBody)
	if err == nil {
		r.list, err = decode(raw)
	}
	if err != nil {
		return reply{}, c.api.Unreadable(ctx, err)
	}
	return r, nil
}

// open returns what is at a URL if it is answered by a 200; the caller closes its
// body.
func (c *Client) open(ctx context.Context, url, token string) (*http.Response, error) {
	return c.api.Get(ctx, url, func(r *http.Request) {
		if token != "" {
			r.Header.Set("X-Nomad-Token", token)
		}
	})
}

func (c *Client) url(q Query, a ask) string {
	u := c.at.Base
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

// classOf returns what a status means. A 404 is an agent that is older than 1.3,
// which has no services of its own, or another program: a service that is not
// there is a 200.
func classOf(status int, _ string) discovery.Class { return discovery.ClassOfStatus(status) }
