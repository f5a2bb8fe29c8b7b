// Package page is the page that people look at in a browser, and what its forms do. It is
// made on the server, whole, and works without JavaScript; what the script adds is that it
// stays current by itself.
package page

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"net/netip"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle []byte
	//go:embed page.js
	pageScript []byte

	pageTemplate = template.Must(template.New("page").Parse(pageText))
)

const (
	htmlType = "text/html; charset=utf-8"
	// policy lets a browser take nothing but the page's own files, and run nothing
	// that stands in the page itself.
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	// maxOverrides bounds how many of what operators asked for the page lists.
	maxOverrides = 200
	// keptOfEvents is how many events the page shows.
	keptOfEvents = 30
)

// Where the forms go by which one signs in and out.
const (
	SignInPath  = "/page/sign-in"
	SignOutPath = "/page/sign-out"
)

// An Agent is what the page shows, and what its forms are passed to. It fails as agent.Agent
// does.
type Agent interface {
	// Status is what the agent knows now, after seconds at most; if it does not answer, that.
	Status() api.Status
	// Events are what changes.
	Events() *event.Log
	// Accept has that go which the id stands for: [api.ErrNoBackend],
	// [api.ErrNothingHeld] or [api.ErrNoSuchID] if there is no such thing.
	Accept(ctx context.Context, backend, id, by string) (api.Accepted, error)
	SetState(ctx context.Context, backend, server, state string, who api.Who) (api.ServerRef, error)
	SetAddressState(ctx context.Context, ip netip.Addr, state string, who api.Who) ([]api.ServerRef, error)
	SetWeight(ctx context.Context, backend, server, weight string, who api.Who) (api.ServerRef, error)
	SetAddressWeight(ctx context.Context, ip netip.Addr, weight string, who api.Who) ([]api.ServerRef, error)
	Pause(ctx context.Context, backend string, hard bool, who api.Who) (api.Pause, error)
	Resume(ctx context.Context, backend string) error
}

// A Page shows one agent. [New] makes one.
type Page struct {
	agent Agent
	gate  *auth.Gate
}

// New returns the page of an agent, on which people sign in at a gate.
func New(agent Agent, gate *auth.Gate) *Page { return &Page{agent, gate} }

// Show answers with the page, or with its changing part alone if that is asked for.
func (p *Page) Show(w http.ResponseWriter, r *http.Request) {
	state := viewStateOf(r.URL.Query())
	name := "page"
	if r.URL.Query().Get("fragment") != "" {
		name = "main"
	}
	p.writePage(w, http.StatusOK, name, p.view(auth.CallerOf(r), state))
}

func (p *Page) view(who auth.Caller, l viewState) pageView {
	events, err := keptEvents(p.agent.Events())
	v := viewOf(p.agent.Status(), events, l)
	v.Who, v.Operates, v.Signed, v.SignIn = who.Words(), who.May >= auth.Operate, who.SignedIn, p.signsIn()
	v.NoEvents = "Nothing has happened yet."
	if err != nil {
		v.NoEvents, v.Charts = "They cannot be shown now: "+err.Error()+".", nil
	}
	return v
}

// signsIn is by what one can sign in now.
func (p *Page) signsIn() signInView {
	token, password := p.gate.SignsInBy()
	return signInView{Token: token, Users: password}
}

// keptEvents returns all events that are kept, oldest first. It fails if too many ask.
func keptEvents(from *event.Log) ([]api.Event, error) {
	all, reader, err := from.Read(1)
	if err != nil {
		return nil, err
	}
	reader.Close()
	if len(all) > 0 && all[0].Kind == api.EventGap {
		all = all[1:]
	}
	return all, nil
}

// Wanted reports whether a browser asks, which names HTML in what it accepts.
func Wanted(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// writePage writes a part of the template, whole or not at all.
func (p *Page) writePage(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&b, name, data); err != nil {
		answer.Problem(w, http.StatusInternalServerError, "the page cannot be made: "+err.Error())
		return
	}
	header(w.Header())
	answer.Write(w, status, htmlType, b.Bytes())
}

// header loosens what every answer forbids as far as the page needs it. Without a
// referrer a browser does not say where a form comes from, and it would be refused.
func header(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Type", htmlType)
}

// File answers with the style or the script.
func File(w http.ResponseWriter, r *http.Request) {
	kind, body := "text/css; charset=utf-8", pageStyle
	if strings.HasSuffix(r.URL.Path, ".js") {
		kind, body = "text/javascript; charset=utf-8", pageScript
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // the client may be gone
}

// SignInFirst is for those who may see nothing yet. A browser cannot send a token with
// the first request, so the style and the script are for everybody, and where the
// page is refused there is one on which one signs in, which goes to open. None of it
// holds any state.
func (p *Page) SignInFirst(open, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch path := r.URL.Path; {
		case reads && (path == "/page/page.css" || path == "/page/page.js"):
			File(w, r)
		case path == SignInPath || path == SignOutPath:
			open.ServeHTTP(w, r)
		case reads && path == "/" && Wanted(r) && r.Header.Get("Authorization") == "":
			next.ServeHTTP(&refusal{ResponseWriter: w, signIn: p.signsIn()}, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// A refusal asks in HTML to sign in, instead of what is written.
type refusal struct {
	http.ResponseWriter
	signIn  signInView
	refused bool
}

// WriteHeader implements [http.ResponseWriter].
func (r *refusal) WriteHeader(status int) {
	if status != http.StatusUnauthorized || r.refused {
		r.ResponseWriter.WriteHeader(status)
		return
	}
	r.refused = true
	header(r.Header())
	r.Header().Del("Content-Length")
	r.Header().Del("WWW-Authenticate") // a browser would ask with a dialog of its own
	r.ResponseWriter.WriteHeader(status)
	// the client may be gone
	_ = pageTemplate.ExecuteTemplate(r.ResponseWriter, "page", pageView{Title: "slotsync", Anonymous: true, SignIn: r.signIn})
}

// Write implements [io.Writer].
func (r *refusal) Write(b []byte) (int, error) {
	if r.refused {
		return len(b), nil
	}
	return r.ResponseWriter.Write(b)
}
