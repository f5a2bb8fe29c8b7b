package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// base is what the document says of the API as a whole, and of parameters.
//
//go:embed base.json
var base []byte

// An object is one of JSON.
type object = map[string]any

// generate returns the document of these routes; root is where the source of the types is.
func generate(root string, routes []web.Route) ([]byte, error) {
	comments, err := readComments(root)
	if err != nil {
		return nil, err
	}
	var doc struct {
		OpenAPI    string `json:"openapi"`
		Info       any    `json:"info"`
		Servers    any    `json:"servers"`
		Paths      object `json:"paths"`
		Components object `json:"components"`
	}
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, fmt.Errorf("base.json: %w", err)
	}
	schemas := &schemaSet{comments: comments, all: object{}}
	left := operations()
	doc.Paths = object{}
	for _, r := range routes {
		o, ok := left[r.Method+" "+r.Path]
		if !ok {
			return nil, fmt.Errorf("%s %s: operations.go does not describe it", r.Method, r.Path)
		}
		delete(left, r.Method+" "+r.Path)
		path := strings.TrimSuffix(r.Path, "{$}")
		at, _ := doc.Paths[path].(object)
		if at == nil {
			at = object{}
			doc.Paths[path] = at
		}
		at[strings.ToLower(r.Method)] = o.describe(r, schemas)
	}
	for pattern := range left {
		return nil, fmt.Errorf("%s: operations.go describes it, and there is no such route", pattern)
	}
	// An event is in no answer as JSON: it is the data of a message in a stream.
	schemas.of(api.Event{})
	responses := object{}
	for status, says := range refusals() {
		responses[strconv.Itoa(status)] = answerOf(says, schemas.of(api.Problem{}), problem)
	}
	doc.Components["responses"], doc.Components["schemas"] = responses, schemas.all
	return write(doc)
}

// write returns v as JSON with one line for each operation, parameter and schema.
func write(v any) ([]byte, error) {
	var whole bytes.Buffer
	to := json.NewEncoder(&whole)
	to.SetEscapeHTML(false)
	to.SetIndent("", "\t")
	if err := to.Encode(v); err != nil {
		return nil, err
	}
	// What is deeper than that is put into the line that it begins in.
	text := regexp.MustCompile(`\n\t{4,}`).ReplaceAll(whole.Bytes(), []byte(" "))
	return regexp.MustCompile(`\n\t{3}([\]}])`).ReplaceAll(text, []byte(" $1")), nil
}

// answerOf describes an answer of some types.
func answerOf(says string, schema object, kinds ...string) object {
	content := object{}
	for _, kind := range kinds {
		content[kind] = object{"schema": schema}
	}
	return object{"description": says, "content": content}
}

// describe is what the document says of a route.
func (o operation) describe(r web.Route, schemas *schemaSet) object {
	out := object{"operationId": o.id, "summary": o.summary, "x-who": whoOf(r), "responses": o.responses(r, schemas)}
	if o.description != "" {
		out["description"] = o.description
	}
	var params []object
	for _, name := range append(inPath(r.Path), o.params...) {
		params = append(params, object{"$ref": "#/components/parameters/" + name})
	}
	if params != nil {
		out["parameters"] = params
	}
	if o.body != nil {
		kind := api.BodyType(r.Method, r.Path)
		body := object{"required": !o.bodyOptional, "content": object{kind: object{"schema": schemas.of(o.body)}}}
		if o.bodySays != "" {
			body["description"] = o.bodySays
		}
		out["requestBody"] = body
	}
	// Anybody who is let in at all may show and read; the rest says who asks.
	security := []object{{"token": []string{}}, {"user": []string{}}, {"certificate": []string{}}}
	if whoOf(r) != "trusted" {
		security = append([]object{{}}, security...)
	}
	out["security"] = security
	return out
}

// responses are what may come back.
func (o operation) responses(r web.Route, schemas *schemaSet) object {
	fails := append([]int{401, 408, 413, 421, 429, 500}, o.fails...)
	if whoOf(r) != "read" {
		fails = append(fails, 403)
	}
	if r.Method != "GET" {
		fails = append(fails, 415)
	}
	out := object{}
	for _, status := range fails {
		out[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + strconv.Itoa(status)}
	}
	for status, x := range o.otherwise {
		schema := object{"type": "string"}
		if x.kind == problem {
			schema = schemas.of(api.Problem{})
		}
		out[strconv.Itoa(status)] = answerOf(x.says, schema, x.kind)
	}
	ok := object{"description": o.says}
	switch kinds, many := o.answer.(media); {
	case o.answer == nil:
		out["204"] = ok
		return out
	case many && slices.Contains(kinds, octets):
		ok = answerOf(o.says, object{}, kinds...)
	case many:
		ok = answerOf(o.says, object{"type": "string"}, kinds...)
	default:
		ok = answerOf(o.says, schemas.of(o.answer), api.JSONType)
	}
	if o.etag {
		ok["headers"] = object{"ETag": object{"description": "The tag of the whole file, for If-Match", "schema": object{"type": "string"}}}
	}
	out["200"] = ok
	return out
}

// inPath names the parameters that a path has.
func inPath(path string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	return names
}

// whoOf is what the document calls those whom a route is for.
func whoOf(r web.Route) string {
	if strings.HasSuffix(r.Path, "/raw") { // what it may do depends on what is sent
		return "show"
	}
	switch r.Needs {
	case auth.Operate:
		return "operate"
	case auth.Full:
		return "trusted"
	}
	return "read"
}
