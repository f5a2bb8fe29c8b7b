package longpoll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Location is where a system listens that is asked over HTTP.
type Location struct {
	// Base is what the URL of every question begins with; its path does not end with
	// a slash.
	Base url.URL
	// Socket is the path of a unix socket, or empty.
	Socket string
}

// parseLocation reads http://HOST:PORT, https://HOST:PORT, either with a path,
// HOST:PORT or unix:///PATH. Its errors hold no password, and no token.
func parseLocation(address string) (Location, error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return Location{}, errors.New("the address has no absolute path after unix://")
		}
		return Location{Base: url.URL{Scheme: "http", Host: "localhost"}, Socket: path}, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil && strings.ContainsAny(address, "@?#"): // it quotes what may be a secret
		return Location{}, errors.New("the address is not SCHEME://HOST:PORT")
	case err != nil:
		return Location{}, fmt.Errorf("address: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return Location{}, fmt.Errorf("address %q: only http, https and unix are known", redacted(u))
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Location{}, fmt.Errorf("address %q is not SCHEME://HOST:PORT", redacted(u))
	}
	return Location{Base: url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}}, nil
}

// redacted is u without what may be a secret. A user may be a token.
func redacted(u *url.URL) string {
	shown := *u
	if shown.User != nil {
		shown.User = url.User("xxxxx")
	}
	if shown.RawQuery != "" {
		shown.RawQuery = "xxxxx"
	}
	if shown.Fragment != "" {
		shown.Fragment, shown.RawFragment = "xxxxx", ""
	}
	return discovery.Printable(shown.String(), 200)
}

// String returns the address, for people.
func (l Location) String() string {
	if l.Socket != "" {
		return "unix://" + l.Socket
	}
	return l.Base.String()
}

// question is what is asked at a URL, and of whom, for [discovery.Activity].
func (l Location) question(url string) string {
	return discovery.Printable("GET "+strings.TrimPrefix(url, l.Base.String())+" of "+l.String(), 1000)
}

// A Dial connects, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// dial returns what connects to the unix socket if there is one, else to where
// requests go, within 5 seconds.
func (l Location) dial() Dial {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if l.Socket == "" {
		return dialer.DialContext
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", l.Socket)
	}
}
