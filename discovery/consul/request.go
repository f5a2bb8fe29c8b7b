package consul

import (
	"context"
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
	maxBody      = 32 << 20 // of a reply
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
	r, err := discovery.WithToken(c.opts.Token, c.opts.Denied, func(token string) (reply, error) {
		return discovery.Within(ctx, a.timeout(), func(ctx context.Context) (reply, error) { return c.exchange(ctx, q, a, token) })
	})
	if err != nil && discovery.ClassOf(err) == discovery.Busy {
		c.budget.brake.pull()
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
	r.token, r.asker, r.mode = token != "", c.asker(q, token), a.mode
	if r.entries, err = readEntries(resp.Body); err != nil {
		c.agent.lose()
		return reply{}, c.api.Unreadable(ctx, err)
	}
	if err := c.shown(r); err != nil {
		return reply{}, err
	}
	return r, nil
}

// open returns what is at a URL if it is answered by a 200; the caller closes its
// body.
func (c *Client) open(ctx context.Context, url, token string) (*http.Response, error) {
	resp, err := c.api.Get(ctx, url, func(r *http.Request) {
		if token != "" {
			r.Header.Set("X-Consul-Token", token)
		}
		if c.opts.Auth == nil {
			return
		}
		if user, password := c.opts.Auth(); user != "" {
			r.SetBasicAuth(user, password)
		}
	})
	if err != nil && discovery.ClassOf(err) == discovery.Transport {
		c.agent.lose()
	}
	return resp, err
}

// readEntries reads the body to its end before it decodes, which also bounds the
// work: a decoder that is fed in small pieces scans blanks between them again and
// again.
func readEntries(body io.Reader) ([]entry, error) {
	raw, err := discovery.ReadBody(body, maxBody)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

func (c *Client) url(q Query, a ask) string {
	u := c.at.Base
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

// classOf returns what a status means, and a body with it.
func classOf(status int, body string) discovery.Class {
	class := discovery.ClassOfStatus(status)
	if class != discovery.Busy && class != discovery.Auth && strings.Contains(body, "boolean expression") { // a faulty filter is a 500
		return discovery.Config
	}
	return class
}
