package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxBody is how many bytes a request may carry.
const maxBody = 64 << 10

// secured tells browsers to do nothing with the answer but show it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses requests that were meant for another host: reads too, since
// a name that was made to resolve to us makes a foreign page our own.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host, usualPort(r.TLS != nil), localAddr(r), s.o.Hosts) {
			problem(w, http.StatusMisdirectedRequest,
				"the host "+strconv.Quote(noted(r.Host))+" is not one of this listener's: name it in http.hosts")
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
	return isLoopback(name) || err == nil && ip.Unmap() == local.Addr().Unmap()
}

// credentials are what a request shows of who sends it.
type credentials struct {
	authorization []string // the headers of that name
	certificate   bool     // one that an authority of the listener's has signed
	user          bool     // the name and password are those of a user
}

// A standing is what somebody may do.
type standing int

const (
	stranger  standing = iota // nothing
	neighbour                 // what everybody on this machine may do
	owner                     // everything
)

// judge says what somebody may do. Whoever shows something that is wrong is a
// stranger, whatever else he shows.
func judge(c credentials, token string, loopback bool) standing {
	switch n := len(c.authorization); {
	case n == 0 && c.certificate:
		return owner
	case n == 0 && loopback:
		return neighbour
	case tokenIn(c.authorization, token), n == 1 && c.user:
		return owner
	}
	return stranger
}

// checkAccess lets pass who may do anything at all, and notes who may do everything.
func (s *Server) checkAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := credentials{authorization: r.Header.Values("Authorization")}
		if s.gate != nil && !s.passGate(w, r, &c) {
			return
		}
		switch judge(c, s.o.Token(), s.loopback) {
		case owner:
			next.ServeHTTP(w, owned(r))
		case neighbour:
			next.ServeHTTP(w, r)
		default:
			s.unauthorized(w, len(c.authorization) > 0)
		}
	})
}

// unauthorized says what is needed to pass.
func (s *Server) unauthorized(w http.ResponseWriter, wrong bool) {
	w.Header().Add("WWW-Authenticate", `Bearer realm="slotsync"`)
	switch {
	case s.gate != nil && wrong:
		problem(w, http.StatusUnauthorized, "this is neither the token nor a user and his password")
	case s.gate != nil:
		problem(w, http.StatusUnauthorized, "a bearer token, a client certificate, or a user and his password are needed")
	case wrong:
		problem(w, http.StatusUnauthorized, "this is not the token")
	default:
		problem(w, http.StatusUnauthorized, "a bearer token is needed")
	}
}

// ownerKey is where a request carries that its sender may do everything.
type ownerKey struct{}

func owned(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), ownerKey{}, true))
}

// isOwner reports whether r's sender may do everything.
func isOwner(r *http.Request) bool { return r.Context().Value(ownerKey{}) != nil }

// everything notes that who comes this way may do everything.
func everything(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, owned(r)) })
}

// trusted lets pass who may do everything.
func trusted(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isOwner(r) {
			problem(w, http.StatusForbidden, "this is not for everybody on this machine: use the unix socket (http.socket), "+
				"a token (http.token_file), a client certificate or a password (http.web_config_file)")
			return
		}
		next(w, r)
	}
}

// tokenMatches compares hashes, so that the time it takes says nothing about the
// token, its length included.
func tokenMatches(authorization, token string) bool {
	scheme, given, _ := strings.Cut(authorization, " ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(a[:], b[:]) == 1
	return same && token != "" && strings.EqualFold(scheme, "Bearer")
}

// checkOrigin refuses changes that a browser sends for a page of somebody else.
func (s *Server) checkOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil || isChange(r) && !s.originsAllowed(r) {
			problem(w, http.StatusForbidden, "this change comes from a page of another origin")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isChange(r *http.Request) bool {
	return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, r.Method)
}

func (s *Server) originsAllowed(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || !hostAllowed(u.Host, usualPort(u.Scheme == "https"), localAddr(r), s.o.Hosts) {
			return false
		}
	}
	return true
}

// readBody takes the whole body, up to maxBody, before anything is done: half a
// request changes nothing.
func readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			problem(w, http.StatusRequestEntityTooLarge, "the body is larger than 64 KB")
			return
		}
		if err != nil {
			problem(w, http.StatusRequestTimeout, "the body did not arrive")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}
