package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxFault bounds what is read of a reply that is none.
const maxFault = 4 << 10

// An API is that of a system which is asked over HTTP. It is safe for concurrent use.
type API struct {
	// System is what errors call it, as in "Consul".
	System string
	// Client asks.
	Client http.Client
	// ClassOf returns what a reply other than a 200 means, of whose body it is given
	// the beginning.
	ClassOf func(status int, body string) Class
}

// NewAPI returns the API of a system that is reached by rt. It follows no redirect:
// that would carry the token to whoever is named there.
func NewAPI(system string, rt http.RoundTripper, classOf func(status int, body string) Class) API {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return API{System: system, Client: http.Client{Transport: rt, CheckRedirect: stay}, ClassOf: classOf}
}

// Get returns what is at a URL if it is answered by a 200; the caller closes its
// body. dress adds headers to the request. Its errors are of class [Transport] if
// there was no answer at all.
func (a *API) Get(ctx context.Context, url string, dress func(*http.Request)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, Errorf(Config, "%w", err)
	}
	dress(req)
	resp, err := a.Client.Do(req)
	if err != nil {
		return nil, Errorf(Transport, "ask %s: %w", a.System, cause(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, a.refused(resp)
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

// refused is the error for a status other than 200.
func (a *API) refused(resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxFault)) // the status alone says enough
	body := strings.TrimSpace(string(raw))
	return Errorf(a.ClassOf(resp.StatusCode, body), "%s answered %d: %s", a.System, resp.StatusCode, Printable(body, 160))
}

// Unreadable is the error for a reply whose body failed with err. It tells a
// connection that broke off, or took too long, from a body that is no answer.
func (a *API) Unreadable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return Errorf(Transport, "read %s's reply: %w", a.System, ctx.Err())
	}
	return Errorf(Protocol, "read %s's reply: %w", a.System, err)
}

// ClassOfStatus returns what a status other than 200 usually means.
func ClassOfStatus(status int) Class {
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return Busy
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Auth
	case status >= 400 && status < 500:
		return Config
	case status >= 500:
		return Server
	}
	return Protocol
}

// ReadBody reads a body to its end, which lets the connection be used again. One
// that is larger than most bytes is an error.
func ReadBody(body io.Reader, most int) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > most:
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	return raw, nil
}

// WithToken calls ask with what token returns, and once more if that is refused and
// token returns another one after denied was called. Both may be nil: no token is
// none that can be renewed.
func WithToken[T any](token func() string, denied func(), ask func(token string) (T, error)) (T, error) {
	current := TokenOf(token)
	answer, err := ask(current)
	if ClassOf(err) != Auth {
		return answer, err
	}
	if denied != nil {
		denied()
	}
	if renewed := TokenOf(token); renewed != current {
		return ask(renewed)
	}
	return answer, err
}

// TokenOf returns what token does; it may be nil.
func TokenOf(token func() string) string {
	if token == nil {
		return ""
	}
	return token()
}

// Within calls ask, which has to end when its context does, and gives it so much
// time. Where ctx is done the error is ctx's own.
func Within[T any](ctx context.Context, limit time.Duration, ask func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := ask(limited)
	if err != nil && ctx.Err() != nil {
		var none T
		return none, ctx.Err()
	}
	return answer, err
}
