package web

import (
	"io/fs"
	"strings"
)

// A RouteInfo is what the tests know of a route.
type RouteInfo struct {
	Method, Path string
	// Needs is the least that somebody has to be allowed: "none", "reads", "operates" or "full".
	Needs string
}

// Table lists the routes of s, those of the page included.
func (s *Server) Table() []RouteInfo {
	var out []RouteInfo
	for _, r := range append(s.table(), s.pageRoutes()...) {
		out = append(out, RouteInfo{r.Method, r.Path, [...]string{"none", "reads", "operates", "full"}[r.Needs]})
	}
	return out
}

// QueryOf lists the parameters of the query that are given to the handler of a change.
func QueryOf(method, path string) []string {
	for _, r := range Routes() {
		if strings.EqualFold(r.Method, method) && r.Path == path {
			return r.Params
		}
	}
	return nil
}

// Admit lets those into the socket at path who may use it.
func Admit(path string, mode fs.FileMode, gid int) error { return admit(path, mode, -1, gid) }
