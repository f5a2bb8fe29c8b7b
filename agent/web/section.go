package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
)

func (s *Server) sectionRoutes() []Route {
	name, edit := []string{"reload"}, []string{"reload", "by", "force", "dry_run", "ifMatch"}
	fails := append([]int{428}, editFails...)
	change := answered(api.TransactionTimeout, http.StatusUnprocessableEntity, s.editSection)
	all := []Route{{"GET", api.SectionsPath, s.sections, auth.Full, Operation{ID: "haproxySections", Summary: "The sections of the configuration",
		Params: name, Answer: []api.ConfigSection{}, Says: "In the order of the file", ETag: true, Fails: fileFails}}}
	for _, path := range []string{api.SectionsPath + "/{type}", api.SectionsPath + "/{type}/{name}"} {
		suffix := ""
		if !strings.HasSuffix(path, "{name}") {
			suffix = "Unnamed"
		}
		all = append(all,
			Route{"GET", path, written(s.section), auth.Full, Operation{ID: "haproxySection" + suffix, Summary: "One section",
				Params: name, Answer: Media{api.TextType}, Says: "As it is in the file", ETag: true, Fails: fileFails}},
			Route{"PUT", path, change, auth.Full, Operation{ID: "haproxySetSection" + suffix, Summary: "Put a section in place of another, or add it; HAProxy is reloaded",
				Description: "The body is the whole section, its first line included.",
				Params:      edit, Body: "", Answer: api.SectionAnswer{}, Says: "What changed, and with which reload", Fails: fails}},
			Route{"DELETE", path, change, auth.Full, Operation{ID: "haproxyRemoveSection" + suffix, Summary: "Remove a section; HAProxy is reloaded",
				Params: edit, Answer: api.SectionAnswer{}, Says: "What changed, and with which reload", Fails: fails}})
	}
	return all
}

func (s *Server) sections(w http.ResponseWriter, r *http.Request) {
	answered(api.ChangeTimeout, http.StatusInternalServerError, func(ctx context.Context, r *http.Request) ([]api.ConfigSection, error) {
		all, etag, err := s.o.Agent.HAProxySections(ctx, r.URL.Query().Get("reload"))
		if err == nil {
			w.Header().Set("ETag", `"`+etag+`"`)
		}
		return all, err
	})(w, r)
}

func (s *Server) section(ctx context.Context, r *http.Request) (text []byte, etag string, err error) {
	return s.o.Agent.HAProxySection(ctx, r.URL.Query().Get("reload"), r.PathValue("type"), r.PathValue("name"))
}

// editSection puts the body in place of a section, or removes the section.
func (s *Server) editSection(ctx context.Context, r *http.Request) (a api.SectionAnswer, err error) {
	e, dry, err := readEdit(r)
	if err != nil {
		return a, err
	}
	a.Reloads = []api.ReloadStatus{}
	if a.Diff, err = s.o.Agent.PreviewHAProxySection(ctx, e); err == nil && !dry {
		a.Reloads, err = s.o.Agent.EditHAProxySection(ctx, e)
	}
	return a, err
}

// readEdit reads an edit from a request. A change has to name what it was made
// of: two people who edit at a time must not undo each other unseen (RFC 6585, 3).
func readEdit(r *http.Request) (e api.SectionEdit, dry bool, err error) {
	q := r.URL.Query()
	e = api.SectionEdit{Reload: q.Get("reload"), Type: r.PathValue("type"), Name: r.PathValue("name"), By: auth.CallerOf(r).Actor(q.Get("by"))}
	dry, err = boolParam(q, api.DryRun)
	if err == nil {
		e.Force, err = boolParam(q, "force")
	}
	if err == nil {
		e.ETag, err = ifMatch(r)
	}
	switch {
	case err != nil:
		return e, dry, bad(err)
	case !dry && r.Header.Get("If-Match") == "":
		return e, dry, &failure{http.StatusPreconditionRequired, errors.New("If-Match is missing: send the ETag of the GET, or *")}
	case r.Method == http.MethodDelete:
		return e, dry, nil
	}
	if e.Body, err = io.ReadAll(r.Body); err != nil || len(e.Body) == 0 {
		return e, dry, bad(errors.New("the body has to be the whole section, its first line included"))
	}
	return e, dry, nil
}
