package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// A Route is one thing that can be asked for. The handler, the list at / and openapi.json
// are made of it.
type Route struct {
	Method, Path string // the path as in [http.ServeMux]
	handle       http.HandlerFunc
	// Needs is the least right that it takes.
	Needs auth.Rights
	Operation
}

// An Operation is what a route takes and gives back. That of a route which is for the page
// alone is empty, and not described.
type Operation struct {
	ID, Summary, Description string
	// Params are those in the query and the header, by their names in tools/openapi/base.json.
	Params []string
	// Body is an example of what a change carries; nil for nothing, "" for text.
	Body         any
	BodyOptional bool
	// Answer is of the type that comes back as JSON, or a list of [Media]; nil for nothing.
	Answer any
	Says   string // what the answer is
	ETag   bool   // it comes with the answer
	// Fails are the statuses besides those that each route can fail with.
	Fails     []int
	Otherwise map[int]Refusal
}

// A Refusal is what a status means at one route.
type Refusal struct {
	Says string
	Kind string // its media type
}

// Media are the types of an answer that is not JSON.
type Media []string

const html = "text/html; charset=utf-8"

// Routes lists everything that programs can ask for.
func Routes() []Route { return new(Server).table() }

// list is what there is, for people: each route with what a change carries.
func list(routes []Route) string {
	var out bytes.Buffer
	out.WriteString("slotsync\n\n")
	lines := tabwriter.NewWriter(&out, 0, 0, 1, ' ', 0)
	for _, r := range routes {
		fmt.Fprintf(lines, "%s\t%s\t%s%s\n", r.Method, strings.TrimSuffix(r.Path, "{$}"), r.Summary, r.example())
	}
	_ = lines.Flush() // a buffer takes everything
	return strings.TrimSuffix(out.String(), "\n")
}

// example is the body of a change as it may be sent, after what is said of it; "" if it
// carries nothing, text, or nothing that it needs.
func (o Operation) example() string {
	if !o.takesJSON() {
		return ""
	}
	text, err := json.Marshal(o.Body)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return ": " + string(text)
}

// takesJSON reports whether a change carries fields.
func (o Operation) takesJSON() bool { return o.Body != nil && o.Body != "" }

func (r Route) handler() http.HandlerFunc {
	if !auth.IsChange(&http.Request{Method: r.Method}) {
		return auth.Require(r.Needs, r.handle)
	}
	h := r.handle
	if !strings.HasPrefix(r.Path, "/page/") {
		h = typed(api.BodyType(r.Method, r.Path), h)
	}
	return r.noteValues(auth.Require(r.Needs, h))
}
