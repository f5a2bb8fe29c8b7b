package web

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
)

// A wish is what somebody asks for with a form of the page.
type wish struct {
	do              string // drain, maint, ready, weight, accept, pause or resume
	backend, server string
	weight, id      string
	who             api.Who
}

func wishOf(form url.Values, c caller) (wish, error) {
	body := api.WhoBody{For: strings.TrimSpace(form.Get("for")), Reason: form.Get("reason"), By: "the page"}
	who, err := whoOf(body, c)
	w := wish{do: form.Get("do"), backend: form.Get("backend"), server: form.Get("server"), weight: strings.TrimSpace(form.Get("weight")), id: noted(form.Get("id")), who: who}
	return w, err
}

// String says what is wished for, in words.
func (w wish) String() string {
	words := w.do
	for _, s := range []string{w.server, w.backend, w.id} {
		if s != "" {
			words += " " + s
		}
	}
	return noted(words)
}

// grant does what is wished for.
func (s *Server) grant(ctx context.Context, w wish) (err error) {
	everywhere := w.backend == "" && w.server != ""
	switch w.do {
	case api.StateDrain, api.StateMaint, api.StateReady, "weight":
		if everywhere {
			return s.grantAddress(ctx, w)
		}
		return s.grantServer(ctx, w)
	case "accept":
		_, err = s.o.Agent.Accept(ctx, w.backend, w.id, w.who.By)
	case "pause":
		_, err = s.o.Agent.Pause(ctx, w.backend, false, w.who)
	case "resume":
		err = s.o.Agent.Resume(ctx, w.backend)
	default:
		err = fmt.Errorf("%w: there is no %q", api.ErrBadRequest, noted(w.do))
	}
	return err
}

// grantServer gives a server another state or weight.
func (s *Server) grantServer(ctx context.Context, w wish) error {
	if w.do != "weight" {
		_, err := s.o.Agent.SetState(ctx, w.backend, w.server, w.do, w.who)
		return err
	}
	weight, err := w.weighed()
	if err == nil {
		_, err = s.o.Agent.SetWeight(ctx, w.backend, w.server, weight, w.who)
	}
	return err
}

// grantAddress does the same to an address on all backends.
func (s *Server) grantAddress(ctx context.Context, w wish) error {
	ip, err := netip.ParseAddr(w.server)
	if err != nil {
		return fmt.Errorf("%w: say the address, or the backend", api.ErrBadRequest)
	}
	if w.do != "weight" {
		_, err = s.o.Agent.SetAddressState(ctx, ip, w.do, w.who)
		return err
	}
	weight, err := w.weighed()
	if err == nil {
		_, err = s.o.Agent.SetAddressWeight(ctx, ip, weight, w.who)
	}
	return err
}

// weighed is the weight that is wished for, "" for the source's. A field that was left
// empty is no weight.
func (w wish) weighed() (string, error) {
	switch w.weight {
	case "":
		return "", fmt.Errorf("%w: say which weight: a number, a share as in 20%%, or source", api.ErrBadRequest)
	case "source":
		return "", nil
	}
	return w.weight, nil
}

// pageAct takes a form of the page. The script is told how it went; a browser without
// it gets the page again.
func (s *Server) pageAct(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	look, who := formLook(r), callerOf(r)
	wish, err := wishOf(r.PostForm, who)
	status := http.StatusBadRequest
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
		defer cancel()
		err = s.grant(ctx, wish)
		status = statusOf(err, http.StatusBadGateway)
	}
	switch {
	case err != nil && wantsPage(r):
		view := s.view(who, look)
		view.Said = wish.String() + ": " + err.Error()
		s.writePage(w, status, "page", view)
	case err != nil:
		problem(w, status, wish.String()+": "+err.Error())
	case wantsPage(r):
		http.Redirect(w, r, look.href()+fragmentOf(wish.backend), http.StatusSeeOther)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// fragmentOf is where a backend is in the page.
func fragmentOf(backend string) string {
	if backend == "" {
		return ""
	}
	return "#b-" + url.PathEscape(backend)
}

// readForm reads a form of the page. It answers and reports false where that cannot be
// one: a browser says where each comes from.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	if !sameOrigin(r) {
		problem(w, http.StatusForbidden, "this does not come from the page, which says its Origin: programs use /v1/")
		return false
	}
	if err := r.ParseForm(); err != nil {
		problem(w, http.StatusBadRequest, "this is not a form of the page")
		return false
	}
	return true
}

// formLook is how the page looked that a form was sent from.
func formLook(r *http.Request) look {
	query, _ := url.ParseQuery(strings.TrimPrefix(r.PostForm.Get("look"), "/?")) // what is wrong in it is left out
	return lookOf(query)
}
