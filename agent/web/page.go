package web

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
)

// This file serves the page that people look at. It is made here, whole, and works
// without JavaScript; what the script adds is that it stays current by itself.

var (
	//go:embed page/page.html
	pageText string
	//go:embed page/page.css
	pageStyle []byte
	//go:embed page/page.js
	pageScript []byte

	pageTemplate = template.Must(template.New("page").Parse(pageText))
)

const (
	htmlType = "text/html; charset=utf-8"
	// pagePolicy lets a browser take nothing but the page's own files, and run nothing
	// that stands in the page itself.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	// maxOverrides bounds how many of what operators asked for the page lists.
	maxOverrides = 200
	// keptOfEvents is how many events the page shows.
	keptOfEvents = 30
)

// pageRoutes are what the page consists of, and what its forms are sent to. To sign in
// takes no rights yet.
func (s *Server) pageRoutes() []route {
	return []route{
		{"GET", "/page/page.css", pageFile, reads},
		{"GET", "/page/page.js", pageFile, reads},
		{"POST", "/page/act", s.pageAct, operates},
		{"POST", signInPath, s.signIn, noRights},
		{"POST", signOutPath, s.signOut, noRights},
	}
}

// front answers GET /: with the page for browsers, and a list of what there is for
// everybody else.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if !wantsPage(r) {
		text(w, http.StatusOK, index)
		return
	}
	look := lookOf(r.URL.Query())
	name := "page"
	if r.URL.Query().Get("fragment") != "" {
		name = "main"
	}
	s.writePage(w, http.StatusOK, name, s.view(callerOf(r), look))
}

func (s *Server) view(who caller, l look) pageView {
	events, err := keptEvents(s.o.Agent.Events())
	v := viewOf(s.o.Agent.Status(), events, l)
	v.Who, v.Operates, v.Signed, v.SignIn = who.words(), who.may >= operates, who.session, s.signsIn()
	v.NoEvents = "Nothing has happened yet."
	if err != nil {
		v.NoEvents, v.Charts = "They cannot be shown now: "+err.Error()+".", nil
	}
	return v
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

// wantsPage reports whether a browser asks, which names HTML in what it accepts.
func wantsPage(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// writePage writes a part of the template, whole or not at all.
func (s *Server) writePage(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&b, name, data); err != nil {
		problem(w, http.StatusInternalServerError, "the page cannot be made: "+err.Error())
		return
	}
	pageHeader(w.Header())
	write(w, status, htmlType, b.Bytes())
}

// pageHeader loosens what every answer forbids as far as the page needs it. Without a
// referrer a browser does not say where a form comes from, and it would be refused.
func pageHeader(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Type", htmlType)
}

func pageFile(w http.ResponseWriter, r *http.Request) {
	kind, body := "text/css; charset=utf-8", pageStyle
	if strings.HasSuffix(r.URL.Path, ".js") {
		kind, body = "text/javascript; charset=utf-8", pageScript
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // whoever asked may be gone
}

// doorstep is for those who may see nothing yet. A browser cannot send a token with
// the first request, so the style and the script are for everybody, and where the
// page is refused there is one on which one signs in, which goes to open. None of it
// holds any state.
func (s *Server) doorstep(open, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch path := r.URL.Path; {
		case reads && (path == "/page/page.css" || path == "/page/page.js"):
			pageFile(w, r)
		case path == signInPath || path == signOutPath:
			open.ServeHTTP(w, r)
		case reads && path == "/" && wantsPage(r) && r.Header.Get("Authorization") == "":
			next.ServeHTTP(&refusal{ResponseWriter: w, signIn: s.signsIn()}, r)
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
	pageHeader(r.Header())
	r.Header().Del("Content-Length")
	r.Header().Del("WWW-Authenticate") // a browser would ask with a dialog of its own
	r.ResponseWriter.WriteHeader(status)
	// whoever asked may be gone
	_ = pageTemplate.ExecuteTemplate(r.ResponseWriter, "page", pageView{Title: "slotsync", Stranger: true, SignIn: r.signIn})
}

// Write implements [io.Writer].
func (r *refusal) Write(b []byte) (int, error) {
	if r.refused {
		return len(b), nil
	}
	return r.ResponseWriter.Write(b)
}
