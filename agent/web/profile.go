package web

import (
	"net/http"
	"net/http/pprof"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// profileRoutes are those of Go's profiles. They tell of memory, and cost time: they
// are not for everybody.
func profileRoutes() []Route {
	const pprofPath, octets = "/debug/pprof/", "application/octet-stream"
	long := []string{"seconds"}
	return []Route{
		{"GET", pprofPath, profileOf, auth.Full, Operation{ID: "profiles", Summary: "The profiles of the process; one of them under its name",
			Answer: Media{html}, Says: "A page, or a profile"}},
		{"GET", pprofPath + "cmdline", pprof.Cmdline, auth.Full, Operation{ID: "cmdline", Summary: "The command line",
			Answer: Media{api.TextType}, Says: "Words with zeros between them"}},
		{"GET", pprofPath + "profile", pprof.Profile, auth.Full, Operation{ID: "profile", Summary: "What the process does with its time",
			Params: long, Answer: Media{octets}, Says: "A profile", Fails: []int{400}}},
		{"GET", pprofPath + "symbol", pprof.Symbol, auth.Full, Operation{ID: "symbol", Summary: "Names of program counters",
			Answer: Media{api.TextType}, Says: "Addresses and names"}},
		{"GET", pprofPath + "trace", pprof.Trace, auth.Full, Operation{ID: "trace", Summary: "What the process does, step by step",
			Params: long, Answer: Media{octets}, Says: "A trace", Fails: []int{400}}},
	}
}

// profileOf shows the list of profiles, which is a page with a style of its own, or
// one of them.
func profileOf(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	pprof.Index(w, r)
}
