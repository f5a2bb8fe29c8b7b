package longpoll

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestWithToken(t *testing.T) {
	refused := discovery.Errorf(discovery.Auth, "no")
	tests := map[string]struct {
		tokens []string // that there are, one after the other
		good   string
		want   error
		asked  string
	}{
		"a good one": {[]string{"a"}, "a", nil, "a"}, "a new one": {[]string{"a", "b"}, "b", nil, "a b"},
		"the same one": {[]string{"a", "a"}, "b", refused, "a"}, "another bad one": {[]string{"a", "b", "c"}, "c", refused, "a b"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var asked []string
			token := func() string { return test.tokens[0] }
			got, err := withToken(token, func() { test.tokens = test.tokens[1:] }, func(token string) (string, error) {
				asked = append(asked, token)
				if token != test.good {
					return "", refused
				}
				return "yes", nil
			})
			if !errors.Is(err, test.want) || err == nil && got != "yes" || strings.Join(asked, " ") != test.asked {
				t.Errorf("got %q, %v, asked with %q", got, err, asked)
			}
		})
	}
	n := 0
	_, err := withToken(nil, nil, func(token string) (int, error) { n++; return 0, refused })
	if err != error(refused) || n != 1 {
		t.Errorf("without a token: %v after %d requests", err, n)
	}
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 1, discovery.Errorf(discovery.Transport, "slow: %w", ctx.Err())
		}
		begin := time.Now()
		_, err := within(t.Context(), time.Minute, slow)
		if took := time.Since(begin); discovery.ClassOf(err) != discovery.Transport || took != time.Minute || err == context.DeadlineExceeded {
			t.Errorf("%v after %s", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := within(ctx, time.Minute, slow); err != context.DeadlineExceeded || got != 0 {
			t.Errorf("ctx ended: %d, %v", got, err)
		}
	})
}

// A roundTrip answers as its function does.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// clientOver is a client that is answered by f.
func clientOver(f roundTrip, o Options) *Client {
	o.System = "X"
	return &Client{opts: o, http: newHTTP(f)}
}

func TestOpen(t *testing.T) {
	sign := func(r *http.Request, token string) { r.Header.Set("X-Token", token) }
	dead := clientOver(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, Options{Sign: sign})
	if resp, err := dead.Open(t.Context(), "http://x/?a=secret", ""); resp != nil || err == nil || err.Error() != "transport: ask X: no route" {
		t.Errorf("got %v %v", resp, err)
	}
	if resp, err := dead.Open(t.Context(), "http://x:y/", ""); resp != nil || discovery.ClassOf(err) != discovery.Config {
		t.Errorf("got %v %v", resp, err)
	}
	var asked []string
	live := clientOver(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Token"))
		status := http.StatusOK
		if r.URL.Path == "/away" {
			status = http.StatusFound
		}
		header := http.Header{"Location": {"http://elsewhere/"}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("yes")), Request: r}, nil
	}, Options{Sign: sign, ClassOf: func(status int, _ string) discovery.Class { return ClassOfStatus(status) }})
	resp, err := live.Open(t.Context(), "http://x/here", "t")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(resp.Body); err != nil || string(raw) != "yes" {
		t.Errorf("got %q %v", raw, err)
	}
	if _, err := live.Open(t.Context(), "http://x/away", "t"); discovery.ClassOf(err) != discovery.Protocol {
		t.Errorf("elsewhere: %v", err)
	}
	if want := "GET http://x/here t, GET http://x/away t"; strings.Join(asked, ", ") != want {
		t.Errorf("asked %q", asked)
	}
}

func TestRefused(t *testing.T) {
	class := func(status int, body string) discovery.Class {
		if strings.Contains(body, "faulty") {
			return discovery.Protocol
		}
		return ClassOfStatus(status)
	}
	tests := []struct {
		status     int
		body, want string
	}{
		{429, "slow down", "busy: X answered 429: slow down"}, {503, "", "busy: X answered 503: "}, {401, "", "auth: X answered 401: "},
		{403, " no\n", "auth: X answered 403: no"}, {400, "", "config: X answered 400: "}, {404, "", "config: X answered 404: "},
		{500, "a\nb", "server: X answered 500: a.b"}, {502, "", "server: X answered 502: "}, {302, "", "protocol: X answered 302: "},
		{500, strings.Repeat(" ", 3000) + strings.Repeat("x", 300) + "faulty", "protocol: X answered 500: " + strings.Repeat("x", 160) + "…"},
		{500, strings.Repeat(" ", 5000) + "faulty", "server: X answered 500: "},
	}
	for _, test := range tests {
		c := clientOver(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: test.status, Body: io.NopCloser(strings.NewReader(test.body))}, nil
		}, Options{Sign: func(*http.Request, string) {}, ClassOf: class})
		if _, err := c.Open(t.Context(), "http://x/", ""); err == nil || err.Error() != test.want {
			t.Errorf("got %q, want %q", err, test.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	cut := errors.New("cut")
	c := clientOver(nil, Options{})
	if err := c.Unreadable(t.Context(), cut); err.Error() != "protocol: read X's reply: cut" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Unreadable(ctx, cut); err.Error() != "transport: read X's reply: context canceled" {
		t.Errorf("got %v", err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }
