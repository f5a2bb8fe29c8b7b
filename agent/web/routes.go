package web

import (
	"context"
	"errors"
	"fmt"
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

// table lists everything that programs can ask for.
func (s *Server) table() []Route {
	return slices.Concat(s.agentRoutes(), s.haproxyRoutes(), s.instanceRoutes(), s.operatorRoutes(), profileRoutes())
}

// agentRoutes are those of the agent itself: what it knows, and what it can be told.
func (s *Server) agentRoutes() []Route {
	return []Route{
		{"GET", "/{$}", s.front, auth.Read, Operation{ID: "index", Summary: "What there is, for people",
			Answer: Media{api.TextType, html}, Says: "A list of all paths, or a page for browsers"}},
		{"GET", "/v1/openapi.json", s.openAPI, auth.Read, Operation{ID: "openapi", Summary: "All of this, for programs",
			Answer: struct{}{}, Says: "OpenAPI 3.1"}},
		{"GET", "/v1/status", answered(api.ChangeTimeout, http.StatusInternalServerError, s.status), auth.Read, Operation{ID: "status", Summary: "What the agent knows and does",
			Answer: api.Status{}, Says: "All of it, at one moment", Fails: []int{503}}},
		{"GET", "/v1/events", s.limitAnonymous(s.events), auth.Read, Operation{ID: "events", Summary: "What changes, as it does: Server-Sent Events",
			Description: "One Event for each change. At most 64 may read at a time. Who comes back with the last ID gets what came meanwhile, as far as it is among the last 1000; if not, an event of kind `gap` comes first.",
			Params:      []string{"lastEventHeader", "lastEvent", "follow"},
			Answer:      Media{api.EventType},
			Says:        "Of each event, `id` is Event.id, `event` is Event.kind and `data` is the Event. A comment comes every 15 seconds. The stream ends after an hour, when the agent stops, and where 256 events were left unread.",
			Fails:       []int{400, 503}}},
		{"POST", "/v1/sync", answered(api.ChangeTimeout, http.StatusInternalServerError, s.sync), auth.Operate, Operation{ID: "sync", Summary: "One round, now",
			Answer: api.Status{}, Says: "Every reachable instance was compared", Fails: []int{503, 504}}},
		// what it finds names files, users and addresses
		{"POST", "/v1/doctor", answered(api.TransactionTimeout, http.StatusInternalServerError, s.doctor), auth.Full, Operation{ID: "doctor", Summary: "Ask every HAProxy and source what may go wrong, as the agent's user and in its environment",
			Description: "One at a time; what it finds names files, users and addresses. Of a backend with dynamic: true, a server is added in maintenance and deleted at once.",
			Answer:      []api.Finding{}, Says: "What was found, the fine too", Fails: []int{409, 503, 504}}},
		{"POST", "/v1/backends/{backend}/accept", answered(api.ChangeTimeout, http.StatusInternalServerError, s.accept), auth.Operate, Operation{ID: "accept", Summary: "Have that go which is held, kept or to be taken over, by its id",
			Body: api.AcceptBody{ID: "h1a2b3"}, Answer: api.Accepted{}, Says: "What went", Fails: []int{400, 404, 503, 504, 507},
			Otherwise: map[int]Refusal{409: {"Nothing has this id; the detail names those that there are", api.ProblemType}}}},
		{"GET", "/v1/backends/{backend}/explain", answered(api.ChangeTimeout, http.StatusInternalServerError, s.explain), auth.Read, Operation{ID: "explainBackend", Summary: "Why a backend is as it is",
			Answer: api.Explanation{}, Says: "Why", Fails: []int{404, 503, 504}}},
		{"GET", "/v1/backends/{backend}/explain/{address}", answered(api.ChangeTimeout, http.StatusInternalServerError, s.explain), auth.Read, Operation{ID: "explain", Summary: "Why an address or a slot is as it is",
			Answer: api.Explanation{}, Says: "Why", Fails: []int{404, 503, 504}}},
		{"GET", "/-/healthy", s.healthy, auth.Read, Operation{ID: "healthy", Summary: "Does the loop run?",
			Answer: Media{api.TextType}, Says: "It ticked within 10 seconds", Otherwise: map[int]Refusal{500: {"It did not", api.TextType}}}},
		{"GET", "/-/ready", s.ready, auth.Read, Operation{ID: "ready", Summary: "Does HAProxy have what discovery says?",
			Answer: Media{api.TextType}, Says: "It does, or did once", Otherwise: map[int]Refusal{503: {"Why not, one reason a line", api.TextType}}}},
		{"POST", "/-/reload", s.reload, auth.Operate, Operation{ID: "reload", Summary: "Read the configuration again; ?drain_removed=true empties first what it removes",
			Params: []string{"drain_removed"}, Says: "Done", Fails: []int{400, 422, 503, 504}}},
		{"GET", "/metrics", s.metrics, auth.Read, Operation{ID: "metrics", Summary: "Metrics for Prometheus",
			Answer: Media{api.TextType}, Says: "In its text format, or what Accept asks for"}},
	}
}

// pageRoutes are what the page consists of, and what its forms are sent to. To sign in
// takes no rights yet.
func (s *Server) pageRoutes() []Route {
	return []Route{
		{"GET", "/page/page.css", page.File, auth.Read, Operation{}},
		{"GET", "/page/page.js", page.File, auth.Read, Operation{}},
		{"POST", "/page/act", s.page.Act, auth.Operate, Operation{}},
		{"POST", page.SignInPath, s.page.SignIn, auth.None, Operation{}},
		{"POST", page.SignOutPath, s.page.SignOut, auth.None, Operation{}},
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
	answer.Text(w, http.StatusOK, list(s.table()))
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string]methods{}
	for _, r := range append(s.table(), s.pageRoutes()...) {
		if byPath[r.Path] == nil {
			byPath[r.Path] = methods{}
			mux.Handle(r.Path, byPath[r.Path])
		}
		byPath[r.Path][r.Method] = r.handler()
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer.Problem(w, http.StatusNotFound, api.NothingAt+r.URL.Path)
	})
	return mux
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

func (s *Server) status(context.Context, *http.Request) (api.Status, error) { return s.known() }

func (s *Server) sync(ctx context.Context, _ *http.Request) (api.Status, error) {
	status, err := s.o.Agent.Sync(ctx)
	if err != nil {
		return status, fmt.Errorf("sync: %w", err)
	}
	return isKnown(status)
}

// doctor has the agent examine itself, one at a time: that asks every HAProxy and source.
func (s *Server) doctor(ctx context.Context, _ *http.Request) ([]api.Finding, error) {
	if !s.examining.TryLock() {
		return nil, api.ErrExamining
	}
	defer s.examining.Unlock()
	found, err := s.o.Examine(ctx)
	if err == nil {
		err = ctx.Err() // what was cut short looks as if it were at fault
	}
	return append([]api.Finding{}, found...), err
}

func (s *Server) accept(ctx context.Context, r *http.Request) (done api.Accepted, err error) {
	var body api.AcceptBody
	if err := readJSON(r, &body); err != nil {
		return done, err
	}
	if done, err = s.o.Agent.Accept(ctx, r.PathValue("backend"), api.Sanitize(body.ID), auth.CallerOf(r).Actor(body.By)); err != nil {
		return done, fmt.Errorf("accept: %w", err)
	}
	return done, nil
}

// explain answers for a backend as a whole, or for what the path names in it.
func (s *Server) explain(ctx context.Context, r *http.Request) (api.Explanation, error) {
	backend, about := r.PathValue("backend"), r.PathValue("address")
	e, err := s.o.Agent.Explain(ctx, backend, about)
	if err != nil {
		return e, fmt.Errorf("explain %s: %w", strings.TrimSpace(backend+" "+about), err)
	}
	return e, nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(w, r, api.ChangeTimeout)
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
