package longpoll

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// maxFault bounds what is read of a reply other than a 200.
const maxFault = 4 << 10

// newHTTP returns a client that follows no redirect: that would carry the token to
// whatever host is named there.
func newHTTP(rt http.RoundTripper) http.Client {
	return http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Open returns what is at a URL if it is answered by a 200; the caller closes its body. Its
// errors are of class [discovery.Transport] if there was no answer at all.
func (c *Client) Open(ctx context.Context, url, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, discovery.Errorf(discovery.Config, "%w", err)
	}
	c.opts.Sign(req, token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, discovery.Errorf(discovery.Transport, "ask %s: %w", c.opts.System, cause(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	return resp, nil
}

// cause leaves out the URL, which makes messages long and says nothing new.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (c *Client) refused(resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxFault)) // the status alone says enough
	body := strings.TrimSpace(string(raw))
	return discovery.Errorf(c.opts.ClassOf(resp.StatusCode, body), "%s answered %d: %s", c.opts.System, resp.StatusCode, discovery.Printable(body, 160))
}

// Unreadable is the error for a reply whose body failed with err. It tells a
// connection that broke off, or took too long, from a body that is no answer.
func (c *Client) Unreadable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return discovery.Errorf(discovery.Transport, "read %s's reply: %w", c.opts.System, ctx.Err())
	}
	return discovery.Errorf(discovery.Protocol, "read %s's reply: %w", c.opts.System, err)
}

// ClassOfStatus returns what a status other than 200 usually means.
func ClassOfStatus(status int) discovery.Class {
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

// withToken calls ask with what token returns, and once more if that is refused and
// token returns another one after denied was called. Both may be nil: no token is
// none that can be renewed.
func withToken[T any](token func() string, denied func(), ask func(token string) (T, error)) (T, error) {
	current := tokenOf(token)
	answer, err := ask(current)
	if discovery.ClassOf(err) != discovery.Auth {
		return answer, err
	}
	if denied != nil {
		denied()
	}
	if renewed := tokenOf(token); renewed != current {
		return ask(renewed)
	}
	return answer, err
}

func tokenOf(token func() string) string {
	if token == nil {
		return ""
	}
	return token()
}

// within calls ask, which has to end when its context does, and gives it so much
// time. Where ctx is done the error is ctx's own.
func within[T any](ctx context.Context, limit time.Duration, ask func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := ask(limited)
	if err != nil && ctx.Err() != nil {
		var none T
		return none, ctx.Err()
	}
	return answer, err
}
