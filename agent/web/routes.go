package web

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/agent/web/page"
)

const index = `slotsync

GET  /v1/status                     what the agent knows and does
GET  /v1/backends/{backend}/explain why a backend is as it is; an address or a slot in it under /{address}
POST /v1/sync                       one round, now
POST /v1/doctor                     what may go wrong, asked as the agent's user in its environment
POST /v1/backends/{backend}/accept  let go what is held or kept, by its id
GET  /v1/backends/{backend}/servers the endpoints of a backend; POST adds one, DELETE .../{server} removes it
PUT  /v1/backends/{backend}/servers/{server}/state   {"state": "drain", "for": "10m"}; ready ends it
PUT  /v1/backends/{backend}/servers/{server}/weight  {"weight": "20%"}
POST /v1/backends/{backend}/servers/{server}/shutdown-sessions
GET  /v1/addresses                  every address; PUT .../{ip}/state and .../weight are for it on all backends
POST /v1/pause, /v1/resume          stop and go on writing: {"backend": "web", "for": "1h"}
GET  /v1/haproxy/reload             is a reload of HAProxy needed, and what came of the last
POST /v1/haproxy/reload             reload HAProxy, as a transaction
GET  /v1/haproxy/config             HAProxy's configuration; its versions under /versions
POST /v1/haproxy/config/check       render and check it, change nothing
GET  /v1/haproxy/config/diff        what changed: ?from=VERSION&to=VERSION
GET  /v1/haproxy/config/sections    the sections; each under /{type}/{name}, to GET, PUT and DELETE
GET  /v1/instances/{instance}/stat  what HAProxy shows, now: info, stat, sess, servers
POST /v1/instances/{instance}/raw   a line of commands, as it is: {"command": "show pools"}
GET  /v1/events                     what changes, as it does: Server-Sent Events
GET  /v1/openapi.json               all of this, for programs
GET  /-/healthy                     does the loop run?
GET  /-/ready                       does HAProxy have what discovery says?
POST /-/reload                      read the configuration again; ?drain_removed=true empties first what it removes
GET  /metrics                       for Prometheus
GET  /debug/pprof/                  what the process does with its time and memory`

// A route is one thing that can be asked for.
type route struct {
	method, path string
	handle       http.HandlerFunc
	// needs are the rights that it takes.
	needs auth.Rights
}

// A Route is one thing that can be asked for, and the least right that it takes.
type Route struct {
	Method, Path string // the path as in [http.ServeMux]
	Needs        auth.Rights
}

// Routes lists everything that programs can ask for.
func Routes() []Route {
	var out []Route
	for _, r := range new(Server).table() {
		out = append(out, Route{r.method, r.path, r.needs})
	}
	return out
}

// table lists everything that can be asked for.
func (s *Server) table() []route {
	own := []route{
		{"GET", "/{$}", s.front, auth.Read},
		{"GET", "/v1/openapi.json", s.openAPI, auth.Read},
		{"GET", "/v1/status", s.status, auth.Read},
		{"GET", "/v1/events", s.limitAnonymous(s.events), auth.Read},
		{"POST", "/v1/sync", s.sync, auth.Operate},
		{"POST", "/v1/doctor", s.doctor, auth.Full}, // what it finds names files, users and addresses
		{"POST", "/v1/backends/{backend}/accept", s.accept, auth.Operate},
		{"GET", "/v1/backends/{backend}/explain", s.explain, auth.Read},
		{"GET", "/v1/backends/{backend}/explain/{address}", s.explain, auth.Read},
		{"GET", "/-/healthy", s.healthy, auth.Read},
		{"GET", "/-/ready", s.ready, auth.Read},
		{"POST", "/-/reload", s.reload, auth.Operate},
		{"GET", "/metrics", s.metrics, auth.Read},
	}
	return slices.Concat(own, s.haproxyRoutes(), s.instanceRoutes(), s.operatorRoutes(), profileRoutes())
}

// pageRoutes are what the page consists of, and what its forms are sent to. To sign in
// takes no rights yet.
func (s *Server) pageRoutes() []route {
	return []route{
		{"GET", "/page/page.css", page.File, auth.Read},
		{"GET", "/page/page.js", page.File, auth.Read},
		{"POST", "/page/act", s.page.Act, auth.Operate},
		{"POST", page.SignInPath, s.page.SignIn, auth.None},
		{"POST", page.SignOutPath, s.page.SignOut, auth.None},
	}
}

// front answers with the page for browsers, and with a list of what there is for
// everybody else.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if page.Wanted(r) {
		s.page.Show(w, r)
		return
	}
	answer.Text(w, http.StatusOK, index)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string]methods{}
	for _, r := range append(s.table(), s.pageRoutes()...) {
		if byPath[r.path] == nil {
			byPath[r.path] = methods{}
			mux.Handle(r.path, byPath[r.path])
		}
		byPath[r.path][r.method] = r.handler()
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer.Problem(w, http.StatusNotFound, api.NothingAt+r.URL.Path)
	})
	return mux
}

func (r route) handler() http.HandlerFunc {
	if !auth.IsChange(&http.Request{Method: r.method}) {
		return auth.Require(r.needs, r.handle)
	}
	h := r.handle
	if !strings.HasPrefix(r.path, "/page/") {
		h = typed(api.BodyType(r.method, r.path), h)
	}
	return noteValues(r.path, auth.Require(r.needs, h))
}

// methods are what can be done with one path. HEAD goes where GET does.
type methods map[string]http.HandlerFunc

// ServeHTTP implements [http.Handler].
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if h, ok := m[method]; ok {
		h(w, r)
		return
	}
	allow := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	w.Header().Set("Allow", allow)
	answer.Problem(w, http.StatusMethodNotAllowed, r.URL.Path+" takes "+allow)
}

// metrics answers whoever asks, however often others do.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	done := s.scrapes.Take(r)
	if done == nil {
		answer.Problem(w, http.StatusTooManyRequests, "you ask for more at a time than is answered: wait for the answers")
		return
	}
	defer done()
	s.o.Metrics.ServeHTTP(w, r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	if status, ok := s.known(w); ok {
		answer.JSON(w, status)
	}
}

func (s *Server) sync(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(r)
	defer cancel()
	status, err := s.o.Agent.Sync(ctx)
	if err != nil {
		answer.Problem(w, answer.StatusOf(err, http.StatusInternalServerError), "sync: "+err.Error())
		return
	}
	if isKnown(w, status) {
		answer.JSON(w, status)
	}
}

// doctor has the agent examine itself, one at a time: that asks every HAProxy and source.
func (s *Server) doctor(w http.ResponseWriter, r *http.Request) {
	if !s.examining.TryLock() {
		answer.Problem(w, answer.StatusOf(api.ErrExamining, http.StatusConflict), api.ErrExamining.Error())
		return
	}
	defer s.examining.Unlock()
	ctx, cancel := withLongDeadline(w, r)
	defer cancel()
	found, err := s.o.Examine(ctx)
	if err == nil {
		err = ctx.Err() // what was cut short looks as if it were at fault
	}
	answer.Result(w, append([]api.Finding{}, found...), err, http.StatusInternalServerError)
}

func (s *Server) accept(w http.ResponseWriter, r *http.Request) {
	var body api.AcceptBody
	if err := readJSON(r, &body); err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := withDeadline(r)
	defer cancel()
	done, err := s.o.Agent.Accept(ctx, r.PathValue("backend"), api.Sanitize(body.ID), auth.CallerOf(r).Actor(body.By))
	if err != nil {
		answer.Problem(w, answer.StatusOf(err, http.StatusInternalServerError), "accept: "+err.Error())
		return
	}
	answer.JSON(w, done)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(r)
	defer cancel()
	drain, err := boolParam(r.URL.Query(), api.DrainRemoved)
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.o.Reload(ctx, drain); err != nil {
		answer.Problem(w, answer.StatusOf(err, http.StatusUnprocessableEntity), err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// boolParam reads a switch, which is off if it is absent. What is neither true nor false
// is no word to guess at: without a dry run, an edit is made.
func boolParam(q url.Values, name string) (bool, error) {
	switch values := q[name]; {
	case len(values) == 0:
		return false, nil
	case len(values) == 1 && (values[0] == "true" || values[0] == "false"):
		return values[0] == "true", nil
	}
	return false, errors.New(name + " is true or false")
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	if err := s.o.Agent.Healthy(); err != nil {
		answer.Text(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer.Text(w, http.StatusOK, api.HealthyText)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	status := s.o.Agent.Status()
	if !status.Ready {
		answer.Text(w, http.StatusServiceUnavailable, strings.Join(status.NotReady, "\n"))
		return
	}
	answer.Text(w, http.StatusOK, api.ReadyText)
}
