package page

import (
	"net/http"
	"strings"

	"github.com/slotsync/slotsync/agent/web/answer"
)

// SignIn takes the form by which somebody signs in.
func (p *Page) SignIn(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	cookie, ok := p.gate.SignIn(r, strings.TrimSpace(r.PostForm.Get("user")), strings.TrimSpace(r.PostForm.Get("secret")))
	if !ok {
		p.refuseSignIn(w, r)
		return
	}
	http.SetCookie(w, cookie)
	http.Redirect(w, r, formState(r).href(), http.StatusSeeOther)
}

func (p *Page) refuseSignIn(w http.ResponseWriter, r *http.Request) {
	const wrong = "This is neither the token nor a user's password."
	if !Wanted(r) {
		answer.Problem(w, http.StatusForbidden, wrong)
		return
	}
	p.writePage(w, http.StatusForbidden, "page", pageView{Title: "slotsync", Anonymous: true, Said: wrong, SignIn: p.signsIn()})
}

// SignOut ends the session that the cookie names.
func (p *Page) SignOut(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	http.SetCookie(w, p.gate.SignOut(r))
	http.Redirect(w, r, formState(r).href(), http.StatusSeeOther)
}
