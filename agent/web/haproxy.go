package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// HAProxy is what can be done with HAProxy's own process and configuration. name
// is of a reload of the configuration, "" for the first (of ReloadHAProxy: all).
// See agent.Agent for the errors.
type HAProxy interface {
	ReloadHAProxy(ctx context.Context, req api.ReloadRequest) ([]api.ReloadStatus, error)
	RestoreHAProxy(ctx context.Context, name, id, by, etag string) ([]api.ReloadStatus, error)
	CheckHAProxy(ctx context.Context, name string) (words string, err error)
	HAProxyConfig(ctx context.Context, name, version string) (text []byte, etag string, err error)
	HAProxyVersions(ctx context.Context, name string) ([]api.ConfigVersion, error)
	HAProxyDiff(ctx context.Context, name, from, to string) (string, error)
	Sections
}

// haproxyRoutes are those of HAProxy's process and configuration. A section of
// it can run code as HAProxy's master, and it may hold secrets: they are not for
// everybody on this machine.
func (s *Server) haproxyRoutes() []Route {
	const config, versions = "/v1/haproxy/config", "/v1/haproxy/config/versions"
	name := []string{"reload"}
	return append([]Route{
		{"GET", "/v1/haproxy/reload", s.needed, auth.Full, Operation{ID: "haproxyReloadNeeded", Summary: "Is a reload of HAProxy needed, and what came of the last?",
			Answer: api.ReloadAnswer{}, Says: "Which backends need it, and how each reload is", Fails: []int{503}}},
		{"POST", "/v1/haproxy/reload", s.reloadHAProxy, auth.Full, Operation{ID: "haproxyReload", Summary: "Reload HAProxy, as a transaction",
			Description: "It is waited for, 10 minutes at most; what has begun goes on without who asks.",
			Body:        api.ReloadBody{}, BodyOptional: true, Answer: []api.ReloadStatus{}, Says: "How the reloads are now", Fails: editFails}},
		{"GET", config, s.haproxyConfig, auth.Full, Operation{ID: "haproxyConfig", Summary: "HAProxy's configuration",
			Params: name, Answer: Media{api.TextType}, Says: "The file", ETag: true, Fails: fileFails}},
		{"POST", config + "/check", s.checkHAProxy, auth.Full, Operation{ID: "haproxyCheck", Summary: "Render the configuration and have it checked; nothing changes",
			Params: name, Answer: api.CheckAnswer{}, Says: "It is fine", Fails: append([]int{422}, fileFails...)}},
		{"GET", config + "/diff", s.haproxyDiff, auth.Full, Operation{ID: "haproxyDiff", Summary: "What changed between two versions: ?from=VERSION&to=VERSION",
			Params: []string{"reload", "from", "to"}, Answer: Media{api.TextType}, Says: "A unified diff", Fails: fileFails}},
		{"GET", versions, s.haproxyVersions, auth.Full, Operation{ID: "haproxyVersions", Summary: "The versions that are kept",
			Params: name, Answer: []api.ConfigVersion{}, Says: "Newest first", Fails: fileFails}},
		{"GET", versions + "/{id}", s.haproxyConfig, auth.Full, Operation{ID: "haproxyVersion", Summary: "One version",
			Params: name, Answer: Media{api.TextType}, Says: "The file as it was", Fails: fileFails}},
		{"POST", versions + "/{id}/restore", s.restoreHAProxy, auth.Full, Operation{ID: "haproxyRestore", Summary: "Put a version in force",
			Params: []string{"reload", "by", "ifMatch"}, Answer: []api.ReloadStatus{}, Says: "How the reloads are now", Fails: editFails}},
	}, s.sectionRoutes()...)
}

// What can go wrong with HAProxy's file where it is read, and where it is changed.
var (
	fileFails = []int{404, 409, 503, 504}
	editFails = []int{400, 404, 409, 412, 422, 503, 504}
)

// withLongDeadline gives the request as long as a reload may take.
func withLongDeadline(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	// where it cannot be set, the request ends sooner and the reload goes on
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(api.TransactionTimeout + time.Minute))
	return context.WithTimeout(r.Context(), api.TransactionTimeout)
}

// withDeadline gives the request as long as the agent may take for one.
func withDeadline(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), api.ChangeTimeout)
}

// known returns the status, unless the agent does not answer, which is answered then: nothing is to be read as none.
func (s *Server) known(w http.ResponseWriter) (api.Status, bool) {
	status := s.o.Agent.Status()
	return status, isKnown(w, status)
}

// isKnown reports whether anything is known, and answers if not.
func isKnown(w http.ResponseWriter, status api.Status) bool {
	why := status.Unanswered
	if why != "" {
		answer.Problem(w, http.StatusServiceUnavailable, why)
	}
	return why == ""
}

func (s *Server) needed(w http.ResponseWriter, _ *http.Request) {
	status, ok := s.known(w)
	if !ok {
		return
	}
	a := api.ReloadAnswer{Needs: map[string]*api.NeedReload{}, Reloads: append([]api.ReloadStatus{}, status.Reloads...)}
	for _, b := range status.Backends {
		if b.NeedReload != nil {
			a.Needed, a.Needs[b.Name] = true, b.NeedReload
		}
	}
	answer.JSON(w, a)
}

func (s *Server) reloadHAProxy(w http.ResponseWriter, r *http.Request) {
	var body api.ReloadBody
	if err := readJSON(r, &body); err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := withLongDeadline(w, r)
	defer cancel()
	req := api.ReloadRequest{Name: body.Name, By: auth.CallerOf(r).Actor(body.By), Reason: api.Sanitize(body.Reason), Force: body.Force}
	reloads, err := s.o.Agent.ReloadHAProxy(ctx, req)
	answer.Result(w, reloads, err, http.StatusUnprocessableEntity)
}

// readJSON takes the body, if there is one, and nothing but what v knows, each name once and
// as it is.
func readJSON(r *http.Request, v any) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("the body is not what is wanted: " + err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("the body is not what is wanted: something follows its end")
	}
	if _, err := fieldsOf(raw); err != nil {
		return errors.New("the body is not what is wanted: " + err.Error())
	}
	return nil
}

func (s *Server) checkHAProxy(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withLongDeadline(w, r)
	defer cancel()
	words, err := s.o.Agent.CheckHAProxy(ctx, r.URL.Query().Get("reload"))
	answer.Result(w, api.CheckAnswer{OK: true, Words: words}, err, http.StatusUnprocessableEntity)
}

func (s *Server) haproxyConfig(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(r)
	defer cancel()
	config, etag, err := s.o.Agent.HAProxyConfig(ctx, r.URL.Query().Get("reload"), r.PathValue("id"))
	writeText(w, config, etag, err)
}

// writeText answers with a part of HAProxy's configuration and its tag, if it has one.
func writeText(w http.ResponseWriter, text []byte, etag string, err error) {
	if err != nil {
		answer.Problem(w, answer.StatusOf(err, http.StatusInternalServerError), err.Error())
		return
	}
	if etag != "" {
		w.Header().Set("ETag", `"`+etag+`"`)
	}
	w.Header().Set("Content-Type", api.TextType)
	_, _ = w.Write(text) // the client may be gone
}

func (s *Server) haproxyVersions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(r)
	defer cancel()
	versions, err := s.o.Agent.HAProxyVersions(ctx, r.URL.Query().Get("reload"))
	answer.Result(w, versions, err, http.StatusInternalServerError)
}

func (s *Server) haproxyDiff(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ctx, cancel := withDeadline(r)
	defer cancel()
	diff, err := s.o.Agent.HAProxyDiff(ctx, q.Get("reload"), q.Get("from"), q.Get("to"))
	writeText(w, []byte(diff), "", err)
}

func (s *Server) restoreHAProxy(w http.ResponseWriter, r *http.Request) {
	etag, err := ifMatch(r)
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := withLongDeadline(w, r)
	defer cancel()
	reloads, err := s.o.Agent.RestoreHAProxy(ctx, r.URL.Query().Get("reload"), r.PathValue("id"), auth.CallerOf(r).Actor(r.URL.Query().Get("by")), etag)
	answer.Result(w, reloads, err, http.StatusUnprocessableEntity)
}

// ifMatch is the tag that HAProxy's configuration must have for a change; "" if
// any will do. A weak one is passed on as it is, and so never matches (RFC 9110,
// section 13.1.1).
func ifMatch(r *http.Request) (string, error) {
	text := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ","))
	if text == "" || text == "*" || strings.HasPrefix(text, "W/") {
		return strings.TrimPrefix(text, "*"), nil
	}
	tag, ok := strings.CutPrefix(text, `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	if !ok || !closed || tag == "" || strings.Contains(tag, `"`) {
		return "", errors.New("If-Match takes one tag, as in the ETag of GET /v1/haproxy/config, or *")
	}
	return tag, nil
}
