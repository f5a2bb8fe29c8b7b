package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
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

// A tag is a part of the API.
type tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

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
		Tags       []tag  `json:"tags"`
		Paths      object `json:"paths"`
		Components object `json:"components"`
	}
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, fmt.Errorf("base.json: %w", err)
	}
	schemas := &schemaSet{comments: comments, all: object{}}
	doc.Paths = object{}
	for _, r := range routes {
		if r.ID == "" || r.Summary == "" || r.Says == "" {
			return nil, fmt.Errorf("%s %s: its operation is not described", r.Method, r.Path)
		}
		path := strings.TrimSuffix(r.Path, "{$}")
		at, _ := doc.Paths[path].(object)
		if at == nil {
			at = object{}
			doc.Paths[path] = at
		}
		at[strings.ToLower(r.Method)] = describe(r, schemas, tagOf(r.Path, doc.Tags))
	}
	// An event is in no answer as JSON: it is the data of a message in a stream.
	schemas.of(api.Event{})
	refused := object{}
	for status, says := range refusals() {
		refused[strconv.Itoa(status)] = answerOf(says, schemas.of(api.Problem{}), api.ProblemType)
	}
	doc.Components["responses"], doc.Components["schemas"] = refused, schemas.all
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
func describe(r web.Route, schemas *schemaSet, tag string) object {
	out := object{"operationId": r.ID, "summary": r.Summary, "tags": []string{tag}, "x-who": whoOf(r), "responses": responses(r, schemas)}
	if r.Description != "" {
		out["description"] = r.Description
	}
	var params []object
	for _, name := range append(inPath(r.Path), r.Params...) {
		params = append(params, object{"$ref": "#/components/parameters/" + name})
	}
	if params != nil {
		out["parameters"] = params
	}
	if r.Body != nil {
		content := object{"schema": schemas.of(r.Body)}
		if r.Body != "" && !reflect.ValueOf(r.Body).IsZero() {
			content["example"] = r.Body
		}
		out["requestBody"] = object{"required": !r.BodyOptional, "content": object{api.BodyType(r.Method, r.Path): content}}
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
func responses(r web.Route, schemas *schemaSet) object {
	fails := append([]int{401, 408, 413, 421, 429, 500}, r.Fails...)
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
	for status, x := range r.Otherwise {
		schema := object{"type": "string"}
		if x.Kind == api.ProblemType {
			schema = schemas.of(api.Problem{})
		}
		out[strconv.Itoa(status)] = answerOf(x.Says, schema, x.Kind)
	}
	ok := object{"description": r.Says}
	switch kinds, many := r.Answer.(web.Media); {
	case r.Answer == nil:
		out["204"] = ok
		return out
	case many && slices.Contains(kinds, "application/octet-stream"):
		ok = answerOf(r.Says, object{}, kinds...)
	case many:
		ok = answerOf(r.Says, object{"type": "string"}, kinds...)
	default:
		ok = answerOf(r.Says, schemas.of(r.Answer), api.JSONType)
	}
	if r.ETag {
		ok["headers"] = object{"ETag": object{"description": "The tag of the whole file, for If-Match", "schema": object{"type": "string"}}}
	}
	out["200"] = ok
	return out
}

// tagOf is the part of the API that a path is in: "haproxy" of /v1/haproxy/reload; "agent"
// where that says no more than the path.
func tagOf(path string, tags []tag) string {
	part := strings.Split(strings.TrimPrefix(path, "/v1"), "/")[1]
	if slices.ContainsFunc(tags, func(t tag) bool { return t.Name == part }) {
		return part
	}
	return "agent"
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
