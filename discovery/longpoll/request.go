package longpoll

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

// How current the data of an answer has to be: a parameter of the URL.
const (
	Default    = "default"    // the leader answers; no parameter
	Stale      = "stale"      // any server answers
	Cached     = "cached"     // the agent's cache answers
	Consistent = "consistent" // the leader answers, after it has proved to be one
)

// plainTimeout is longer than an agent holds a read while it knows no leader: Consul 7 s,
// Nomad 5 s.
const plainTimeout = 15 * time.Second

// A Request is one way to ask for a list.
type Request struct {
	// Mode is [Default] (also if empty), [Stale], [Cached] or [Consistent].
	Mode string
	// Index makes it a blocking query, which waits up to Wait for a higher one. 0: a
	// plain read.
	Index uint64
	Wait  time.Duration
}

// plain is the read that everything begins with.
func plain() Request { return Request{Mode: Default} }

// Blocking reports whether q waits for news.
func (q Request) Blocking() bool { return q.Index > 0 }

func (q Request) add(params url.Values) {
	if q.Mode != "" && q.Mode != Default {
		params.Set(q.Mode, "")
	}
	if q.Blocking() {
		params.Set("index", strconv.FormatUint(q.Index, 10))
		params.Set("wait", strconv.FormatInt(q.Wait.Milliseconds(), 10)+"ms")
	}
}

// timeout is after how long there will be no answer: the server adds up to a 16th to
// the wait.
func (q Request) timeout() time.Duration {
	if !q.Blocking() {
		return plainTimeout
	}
	return q.Wait + q.Wait/16 + plainTimeout
}

// Ask calls exchange, which puts q to the agent, as soon as that is allowed, and once
// more if the token was refused and there is a new one. Its errors are ctx's own or a
// [discovery.Error]. For a blocking query the caller holds a place.
func Ask[R any](ctx context.Context, c *Client, q Request, exchange func(ctx context.Context, token string) (R, error)) (R, error) {
	var none R
	if q.Blocking() {
		if err := c.budget.cooldown.wait(ctx); err != nil {
			return none, err
		}
	} else {
		leave, err := c.budget.read(ctx, c.wire.http1.Load())
		if err != nil {
			return none, err
		}
		defer leave()
	}
	answer, err := withToken(c.opts.Token, c.opts.Denied, func(token string) (R, error) {
		return within(ctx, q.timeout(), func(ctx context.Context) (R, error) { return exchange(ctx, token) })
	})
	if err != nil && discovery.ClassOf(err) == discovery.Busy {
		c.budget.cooldown.begin()
	}
	return answer, err
}

// Peek returns the headers and up to most bytes of what is at a URL.
func (c *Client) Peek(ctx context.Context, url, token string, most int64) (http.Header, string, error) {
	resp, err := c.Open(ctx, url, token)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, "", c.Unreadable(ctx, err)
	}
	return resp.Header, strings.TrimSpace(string(raw)), nil
}
