package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/slotsync/slotsync/agent"
)

// Sections is what can be done with the sections of HAProxy's configuration. See
// [agent.Agent] for the errors.
type Sections interface {
	HAProxySections(ctx context.Context, name string) ([]agent.ConfigSection, string, error)
	HAProxySection(ctx context.Context, name, typ, section string) (text []byte, etag string, err error)
	PreviewHAProxySection(ctx context.Context, e agent.SectionEdit) (string, error)
	EditHAProxySection(ctx context.Context, e agent.SectionEdit) ([]agent.ReloadStatus, error)
}

// A SectionAnswer is what an edit changes, and with which reload.
type SectionAnswer struct {
	// Diff is a unified diff of the template if there is one, else of the file;
	// "" if the section is that already.
	Diff string `json:"diff"`
	// Reloads are how they are after it; empty after a dry run.
	Reloads []agent.ReloadStatus `json:"reloads"`
}

// sectionsPath is where sections are; without a name after the type it is the one
// that has none.
const sectionsPath = "/v1/haproxy/config/sections"

// dryRun is the parameter that has an edit shown and not made.
const dryRun = "dry_run"

func (s *Server) sectionRoutes() []route {
	all := []route{{"GET", sectionsPath, s.sections, full}}
	for _, path := range []string{sectionsPath + "/{type}", sectionsPath + "/{type}/{name}"} {
		all = append(all,
			route{"GET", path, s.section, full},
			route{"PUT", path, s.editSection, full},
			route{"DELETE", path, s.editSection, full})
	}
	return all
}

func (s *Server) sections(w http.ResponseWriter, r *http.Request) {
	all, etag, err := s.o.Agent.HAProxySections(r.Context(), r.URL.Query().Get("reload"))
	if err != nil {
		problem(w, statusOf(err, http.StatusInternalServerError), err.Error())
		return
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	answer(w, all)
}

func (s *Server) section(w http.ResponseWriter, r *http.Request) {
	text, etag, err := s.o.Agent.HAProxySection(r.Context(), r.URL.Query().Get("reload"), r.PathValue("type"), r.PathValue("name"))
	if err != nil {
		problem(w, statusOf(err, http.StatusInternalServerError), err.Error())
		return
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	w.Header().Set("Content-Type", textType)
	_, _ = w.Write(text) // whoever asked may be gone
}

// editSection puts the body in place of a section, or removes the section.
func (s *Server) editSection(w http.ResponseWriter, r *http.Request) {
	e, dry, code, err := wantedEdit(r)
	if err != nil {
		problem(w, code, err.Error())
		return
	}
	ctx, cancel := patiently(w, r)
	defer cancel()
	a := SectionAnswer{Reloads: []agent.ReloadStatus{}}
	if a.Diff, err = s.o.Agent.PreviewHAProxySection(ctx, e); err == nil && !dry {
		a.Reloads, err = s.o.Agent.EditHAProxySection(ctx, e)
	}
	if err != nil {
		problem(w, statusOf(err, http.StatusUnprocessableEntity), err.Error())
		return
	}
	answer(w, a)
}

// wantedEdit reads an edit from a request. A change has to name what it was made
// of: two people who edit at a time must not undo each other unseen (RFC 6585, 3).
func wantedEdit(r *http.Request) (e agent.SectionEdit, dry bool, code int, err error) {
	q := r.URL.Query()
	e = agent.SectionEdit{Reload: q.Get("reload"), Type: r.PathValue("type"), Name: r.PathValue("name"), By: callerOf(r).by(q.Get("by"))}
	dry, err = wanted(q, dryRun)
	if err == nil {
		e.Force, err = wanted(q, "force")
	}
	if err == nil {
		e.ETag, err = wantedTag(r)
	}
	if err != nil {
		return e, dry, http.StatusBadRequest, err
	}
	if !dry && r.Header.Get("If-Match") == "" {
		return e, dry, http.StatusPreconditionRequired, errors.New("If-Match is missing: send the ETag of the GET, or *")
	}
	if r.Method == http.MethodDelete {
		return e, dry, 0, nil
	}
	if e.Body, err = io.ReadAll(r.Body); err != nil || len(e.Body) == 0 {
		return e, dry, http.StatusBadRequest, errors.New("the body has to be the whole section, its first line included")
	}
	return e, dry, 0, nil
}

// HAProxySections lists the sections of HAProxy's configuration.
func (c *Client) HAProxySections(ctx context.Context, name string) ([]agent.ConfigSection, error) {
	return into[[]agent.ConfigSection](ctx, c, http.MethodGet, sectionsPath+query("reload", name), nil)
}

// HAProxySection returns one section, and the tag of the whole configuration. The
// error wraps [agent.ErrNoSection] if there is none of that name.
func (c *Client) HAProxySection(ctx context.Context, name, typ, section string) (text, etag string, err error) {
	got, err := c.send(ctx, http.MethodGet, sectionPath(typ, section)+query("reload", name), nil)
	if err == nil {
		err = got.section()
	}
	if err != nil {
		return "", "", err
	}
	return string(got.body), got.etag, nil
}

// EditHAProxySection makes the change and waits for the end of the reload; with
// dry it only says what would change. e.ETag is what [Client.HAProxySection]
// returned, "*" for whatever is there.
func (c *Client) EditHAProxySection(ctx context.Context, e agent.SectionEdit, dry bool) (a SectionAnswer, err error) {
	method, force, wet := http.MethodPut, "", ""
	if e.Body == nil {
		method = http.MethodDelete
	}
	if e.Force {
		force = "true"
	}
	if dry {
		wet = "true"
	}
	path := sectionPath(e.Type, e.Name) + query("reload", e.Reload, "by", e.By, "force", force, dryRun, wet)
	got, err := c.patient().sendIf(ctx, method, path, bytes.NewReader(e.Body), e.ETag)
	if err == nil {
		err = got.section()
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(got.body, &a); err != nil {
		return SectionAnswer{}, fmt.Errorf("what answers at %s is no slotsync: %w", c.addr, err)
	}
	return a, nil
}

func sectionPath(typ, name string) string {
	path := sectionsPath + "/" + url.PathEscape(typ)
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// section returns why the reply is not about the section that was asked for.
func (r reply) section() error {
	switch r.status {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", agent.ErrNoSection, r.detail())
	case http.StatusPreconditionFailed:
		return agent.ErrChanged
	}
	return r.haproxy()
}
