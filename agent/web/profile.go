package web

import (
	"net/http"
	"net/http/pprof"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// profileRoutes are those of Go's profiles. They tell of memory, and cost time: they
// are not for everybody.
func profileRoutes() []route {
	return []route{
		{"GET", "/debug/pprof/", profileOf, auth.Full},
		{"GET", "/debug/pprof/cmdline", pprof.Cmdline, auth.Full},
		{"GET", "/debug/pprof/profile", pprof.Profile, auth.Full},
		{"GET", "/debug/pprof/symbol", pprof.Symbol, auth.Full},
		{"GET", "/debug/pprof/trace", pprof.Trace, auth.Full},
	}
}

// profileOf shows the list of profiles, which is a page with a style of its own, or
// one of them.
func profileOf(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	pprof.Index(w, r)
}
