package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// haproxyRoutes are those of HAProxy's process and configuration. A section of
// it can run code as HAProxy's master, and it may hold secrets: they are not for
// everybody on this machine.
func (s *Server) haproxyRoutes() []Route {
	const config, versions = "/v1/haproxy/config", "/v1/haproxy/config/versions"
	name := []string{"reload"}
	return append([]Route{
		{"GET", "/v1/haproxy/reload", answered(api.ChangeTimeout, http.StatusInternalServerError, s.needed), auth.Full, Operation{ID: "haproxyReloadNeeded", Summary: "Is a reload of HAProxy needed, and what came of the last?",
			Answer: api.ReloadAnswer{}, Says: "Which backends need it, and how each reload is", Fails: []int{503}}},
		{"POST", "/v1/haproxy/reload", answered(api.TransactionTimeout, http.StatusUnprocessableEntity, s.reloadHAProxy), auth.Full, Operation{ID: "haproxyReload", Summary: "Reload HAProxy, as a transaction",
			Description: "It is waited for, 10 minutes at most; what has begun goes on without who asks.",
			Body:        api.ReloadBody{}, BodyOptional: true, Answer: []api.ReloadStatus{}, Says: "How the reloads are now", Fails: editFails}},
		{"GET", config, written(s.haproxyConfig), auth.Full, Operation{ID: "haproxyConfig", Summary: "HAProxy's configuration",
			Params: name, Answer: Media{api.TextType}, Says: "The file", ETag: true, Fails: fileFails}},
		{"POST", config + "/check", answered(api.TransactionTimeout, http.StatusUnprocessableEntity, s.checkHAProxy), auth.Full, Operation{ID: "haproxyCheck", Summary: "Render the configuration and have it checked; nothing changes",
			Params: name, Answer: api.CheckAnswer{}, Says: "It is fine", Fails: append([]int{422}, fileFails...)}},
		{"GET", config + "/diff", written(s.haproxyDiff), auth.Full, Operation{ID: "haproxyDiff", Summary: "What changed between two versions: ?from=VERSION&to=VERSION",
			Params: []string{"reload", "from", "to"}, Answer: Media{api.TextType}, Says: "A unified diff", Fails: fileFails}},
		{"GET", versions, answered(api.ChangeTimeout, http.StatusInternalServerError, s.haproxyVersions), auth.Full, Operation{ID: "haproxyVersions", Summary: "The versions that are kept",
			Params: name, Answer: []api.ConfigVersion{}, Says: "Newest first", Fails: fileFails}},
		{"GET", versions + "/{id}", written(s.haproxyConfig), auth.Full, Operation{ID: "haproxyVersion", Summary: "One version",
			Params: name, Answer: Media{api.TextType}, Says: "The file as it was", Fails: fileFails}},
		{"POST", versions + "/{id}/restore", answered(api.TransactionTimeout, http.StatusUnprocessableEntity, s.restoreHAProxy), auth.Full, Operation{ID: "haproxyRestore", Summary: "Put a version in force",
			Params: []string{"reload", "by", "ifMatch"}, Answer: []api.ReloadStatus{}, Says: "How the reloads are now", Fails: editFails}},
	}, s.sectionRoutes()...)
}

// What can go wrong with HAProxy's file where it is read, and where it is changed.
var (
	fileFails = []int{404, 409, 503, 504}
	editFails = []int{400, 404, 409, 412, 422, 503, 504}
)

func (s *Server) needed(context.Context, *http.Request) (a api.ReloadAnswer, err error) {
	status, err := s.known()
	a = api.ReloadAnswer{Needs: map[string]*api.NeedReload{}, Reloads: append([]api.ReloadStatus{}, status.Reloads...)}
	for _, b := range status.Backends {
		if b.NeedReload != nil {
			a.Needed, a.Needs[b.Name] = true, b.NeedReload
		}
	}
	return a, err
}

func (s *Server) reloadHAProxy(ctx context.Context, r *http.Request) ([]api.ReloadStatus, error) {
	var body api.ReloadBody
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	return s.o.Agent.ReloadHAProxy(ctx, api.ReloadRequest{Name: body.Name, By: auth.CallerOf(r).Actor(body.By), Reason: api.Sanitize(body.Reason), Force: body.Force})
}

func (s *Server) checkHAProxy(ctx context.Context, r *http.Request) (api.CheckAnswer, error) {
	words, err := s.o.Agent.CheckHAProxy(ctx, r.URL.Query().Get("reload"))
	return api.CheckAnswer{OK: true, Words: words}, err
}

func (s *Server) haproxyConfig(ctx context.Context, r *http.Request) (text []byte, etag string, err error) {
	return s.o.Agent.HAProxyConfig(ctx, r.URL.Query().Get("reload"), r.PathValue("id"))
}

func (s *Server) haproxyVersions(ctx context.Context, r *http.Request) ([]api.ConfigVersion, error) {
	return s.o.Agent.HAProxyVersions(ctx, r.URL.Query().Get("reload"))
}

func (s *Server) haproxyDiff(ctx context.Context, r *http.Request) (text []byte, etag string, err error) {
	q := r.URL.Query()
	diff, err := s.o.Agent.HAProxyDiff(ctx, q.Get("reload"), q.Get("from"), q.Get("to"))
	return []byte(diff), "", err
}

func (s *Server) restoreHAProxy(ctx context.Context, r *http.Request) ([]api.ReloadStatus, error) {
	etag, err := ifMatch(r)
	if err != nil {
		return nil, bad(err)
	}
	q := r.URL.Query()
	return s.o.Agent.RestoreHAProxy(ctx, q.Get("reload"), r.PathValue("id"), auth.CallerOf(r).Actor(q.Get("by")), etag)
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
