package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
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

// typed lets pass changes that say that they carry what a route takes: what makes a
// program send a request for somebody else can seldom have it say so, and a browser asks
// before it does.
func typed(takes string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != takes || len(r.Header.Values("Content-Type")) != 1 {
			w.Header().Set("Accept", takes)
			problem(w, http.StatusUnsupportedMediaType, "a change has to say Content-Type: "+takes+", also without a body")
			return
		}
		next(w, r)
	}
}
