package page

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// An action is what somebody asks for with a form of the page.
type action struct {
	do              string // drain, maint, ready, weight, accept, pause or resume
	backend, server string
	weight, id      string
	who             api.Who
}

func actionOf(form url.Values, c auth.Caller) (action, error) {
	body := api.WhoBody{For: strings.TrimSpace(form.Get("for")), Reason: form.Get("reason"), By: "the page"}
	who, err := c.Who(body)
	w := action{do: form.Get("do"), backend: form.Get("backend"), server: form.Get("server"), weight: strings.TrimSpace(form.Get("weight")), id: api.Sanitize(form.Get("id")), who: who}
	return w, err
}

// String says what is asked for, in words.
func (w action) String() string {
	words := w.do
	for _, s := range []string{w.server, w.backend, w.id} {
		if s != "" {
			words += " " + s
		}
	}
	return api.Sanitize(words)
}

// execute does what is asked for.
func (p *Page) execute(ctx context.Context, w action) (err error) {
	switch w.do {
	case api.StateDrain, api.StateMaint, api.StateReady, "weight":
		return p.operate(ctx, w)
	case "accept":
		_, err = p.agent.Accept(ctx, w.backend, w.id, w.who.By)
	case "pause":
		_, err = p.agent.Pause(ctx, w.backend, false, w.who)
	case "resume":
		err = p.agent.Resume(ctx, w.backend)
	default:
		err = fmt.Errorf("%w: there is no %q", api.ErrBadRequest, api.Sanitize(w.do))
	}
	return err
}

// operate gives a server another state or weight, or an address on all backends.
func (p *Page) operate(ctx context.Context, w action) error {
	ip, err := netip.ParseAddr(w.server)
	everywhere := w.backend == "" && w.server != ""
	if everywhere && err != nil {
		return fmt.Errorf("%w: say the address, or the backend", api.ErrBadRequest)
	}
	weight := ""
	if w.do == "weight" {
		if weight, err = w.weighed(); err != nil {
			return err
		}
	}
	switch {
	case everywhere && w.do == "weight":
		_, err = p.agent.SetAddressWeight(ctx, ip, weight, w.who)
	case everywhere:
		_, err = p.agent.SetAddressState(ctx, ip, w.do, w.who)
	case w.do == "weight":
		_, err = p.agent.SetWeight(ctx, w.backend, w.server, weight, w.who)
	default:
		_, err = p.agent.SetState(ctx, w.backend, w.server, w.do, w.who)
	}
	return err
}

// weighed is the weight that is asked for, "" for the source's. A field that was left
// empty is no weight.
func (w action) weighed() (string, error) {
	switch w.weight {
	case "":
		return "", fmt.Errorf("%w: say which weight: a number, a share as in 20%%, or source", api.ErrBadRequest)
	case "source":
		return "", nil
	}
	return w.weight, nil
}

// Act takes a form of the page. The script is told how it went; a browser without
// it gets the page again.
func (p *Page) Act(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	state, who := formState(r), auth.CallerOf(r)
	act, err := actionOf(r.PostForm, who)
	status := http.StatusBadRequest
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), api.ChangeTimeout)
		defer cancel()
		err = p.execute(ctx, act)
		status = answer.StatusOf(err, http.StatusBadGateway)
	}
	switch {
	case err != nil && Wanted(r):
		view := p.view(who, state)
		view.Said = act.String() + ": " + err.Error()
		p.writePage(w, status, "page", view)
	case err != nil:
		answer.Problem(w, status, act.String()+": "+err.Error())
	case Wanted(r):
		http.Redirect(w, r, state.href()+fragmentOf(act.backend), http.StatusSeeOther)
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
	if !auth.SameOrigin(r) {
		answer.Problem(w, http.StatusForbidden, "this does not come from the page, which says its Origin: programs use /v1/")
		return false
	}
	if err := r.ParseForm(); err != nil {
		answer.Problem(w, http.StatusBadRequest, "this is not a form of the page")
		return false
	}
	return true
}

// formState is how the page looked that a form was sent from.
func formState(r *http.Request) viewState {
	query, _ := url.ParseQuery(strings.TrimPrefix(r.PostForm.Get("look"), "/?")) // what is wrong in it is left out
	return viewStateOf(query)
}
