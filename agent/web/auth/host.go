package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
)

// CheckHost refuses requests that were meant for another host: reads too, since
// a name that was made to resolve to us makes a foreign page our own.
func (g *Gate) CheckHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host, usualPort(r.TLS != nil), localAddr(r), g.o.Hosts) {
			answer.Problem(w, http.StatusMisdirectedRequest,
				"the host "+strconv.Quote(api.Sanitize(r.Host))+" is not one of this listener's: name it in http.hosts")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localAddr is where r came in; the zero AddrPort if that was no TCP port.
func localAddr(r *http.Request) netip.AddrPort {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// usualPort is the port that a host without one stands for.
func usualPort(tls bool) string {
	if tls {
		return "443"
	}
	return "80"
}

// hostAllowed reports whether host, as in a Host header, is one of names, or a
// loopback name or the address local, with the port of local. usual is the port
// that a host without one stands for.
func hostAllowed(host, usual string, local netip.AddrPort, names []string) bool {
	port := strconv.Itoa(int(local.Port()))
	for _, name := range names {
		withPort := net.JoinHostPort(strings.Trim(name, "[]"), port)
		if name != "" && (strings.EqualFold(host, name) || strings.EqualFold(host, withPort)) {
			return true
		}
	}
	name, p, err := net.SplitHostPort(host)
	if err != nil {
		name, p = strings.Trim(host, "[]"), usual
	}
	if p != port {
		return false
	}
	ip, err := netip.ParseAddr(name)
	return IsLoopback(name) || err == nil && ip.Unmap() == local.Addr().Unmap()
}

// tokenMatches compares hashes, so that the time it takes says nothing about the
// token, its length included.
func tokenMatches(authorization, token string) bool {
	scheme, given, _ := strings.Cut(authorization, " ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(a[:], b[:]) == 1
	return same && token != "" && strings.EqualFold(scheme, "Bearer")
}

// CheckOrigin refuses changes that a browser sends for a page of somebody else.
func (g *Gate) CheckOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil || IsChange(r) && !g.originsAllowed(r) {
			answer.Problem(w, http.StatusForbidden, "this change comes from a page of another origin")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsChange reports whether r is to change something.
func IsChange(r *http.Request) bool {
	return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, r.Method)
}

func (g *Gate) originsAllowed(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || !hostAllowed(u.Host, usualPort(u.Scheme == "https"), localAddr(r), g.o.Hosts) {
			return false
		}
	}
	return true
}
