package web

import (
	"net/http"
	"net/http/pprof"
)

// profileRoutes are those of Go's profiles. They tell of memory, and cost time: they
// are not for everybody.
func profileRoutes() []route {
	return []route{
		{"GET", "/debug/pprof/", profileOf, full},
		{"GET", "/debug/pprof/cmdline", pprof.Cmdline, full},
		{"GET", "/debug/pprof/profile", pprof.Profile, full},
		{"GET", "/debug/pprof/symbol", pprof.Symbol, full},
		{"GET", "/debug/pprof/trace", pprof.Trace, full},
	}
}

// profileOf shows the list of profiles, which is a page with a style of its own, or
// one of them.
func profileOf(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	pprof.Index(w, r)
}
