package main

import (
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// An operation is what the document says of a route besides what follows from the route
// itself: its path, and who may.
type operation struct {
	id, summary, description string
	// params are those in the query and the header, by their names in base.json.
	params []string
	// body is of the type that a change carries; nil for nothing, "" for text.
	body         any
	bodyOptional bool
	bodySays     string
	// answer is of the type that comes back as JSON, or a list of media; nil for nothing.
	answer any
	says   string // what the answer is
	etag   bool   // it comes with the answer
	// fails are the statuses besides those that each route can fail with.
	fails     []int
	otherwise map[int]refusal
}

// A refusal is what a status means at one route.
type refusal struct {
	says string
	kind string
}

// media are the types of an answer that is not JSON.
type media []string

const (
	text    = api.TextType
	html    = "text/html; charset=utf-8"
	events  = api.EventType
	octets  = "application/octet-stream"
	problem = api.ProblemType
)

// refusals say what the problem is that comes with a status.
func refusals() map[int]string {
	return map[int]string{
		400: "What is asked for is not understood",
		401: "Nothing, or something wrong, shows who asks",
		403: "It is not for those who show nothing, or a page of another origin asks for it",
		404: "There is no such thing",
		408: "The body did not arrive",
		409: "It does not go with how things are",
		412: "The configuration is not the one that If-Match names",
		413: "The body is larger than 64 KB",
		415: "The Content-Type is not what a change takes: application/json, or text/plain for a section",
		421: "The Host is not one of this listener",
		422: "It was tried, or checked, and does not work: the old state stays",
		428: "If-Match is missing",
		429: "The limit of the listener is reached",
		500: "It failed",
		502: "An instance refuses it, or does not answer",
		503: "Not now: the agent stops, does not answer within 4 s, or is asked by too many",
		504: "It took too long",
		507: "Done, and lost at the next restart: it could not be stored",
	}
}

// operations has every route of the API, by its pattern.
func operations() map[string]operation {
	return map[string]operation{
		"GET /{$}": {
			id: "index", summary: "What there is, for people",
			answer: media{text, html},
			says:   "A list of all paths, or a page for browsers",
		},
		"GET /v1/openapi.json": {
			id: "openapi", summary: "This document",
			answer: struct{}{},
			says:   "OpenAPI 3.1",
		},
		"GET /v1/status": {
			id: "status", summary: "What the agent knows and does",
			answer: api.Status{},
			says:   "All of it, at one moment",
			fails:  []int{503},
		},
		"GET /v1/events": {
			id: "events", summary: "What changes, as it does",
			description: "One Event for each change. At most 64 may read at a time. Who comes back with the last ID gets what came meanwhile, as far as it is among the last 1000; if not, an event of kind `gap` comes first.",
			params:      []string{"lastEventHeader", "lastEvent", "follow"},
			answer:      media{events},
			says:        "Server-Sent Events. Of each, `id` is Event.id, `event` is Event.kind and `data` is the Event. A comment comes every 15 seconds. The stream ends after an hour, when the agent stops, and where 256 events were left unread.",
			fails:       []int{400, 503},
		},
		"POST /v1/sync": {
			id: "sync", summary: "One round, now",
			answer: api.Status{},
			says:   "Every reachable instance was compared",
			fails:  []int{503, 504},
		},
		"POST /v1/backends/{backend}/accept": {
			id: "accept", summary: "Have that go which is held, kept or to be taken over, by its id",
			body:      api.AcceptBody{},
			answer:    api.Accepted{},
			says:      "What went",
			fails:     []int{400, 404, 503, 504, 507},
			otherwise: map[int]refusal{409: {"Nothing has this id; the detail names those that there are", problem}},
		},
		"GET /v1/backends/{backend}/explain": {
			id: "explainBackend", summary: "Why a backend is as it is",
			answer: api.Explanation{},
			says:   "Why",
			fails:  []int{404, 503, 504},
		},
		"GET /v1/backends/{backend}/explain/{address}": {
			id: "explain", summary: "Why an address or a slot is as it is",
			answer: api.Explanation{},
			says:   "Why",
			fails:  []int{404, 503, 504},
		},
		"GET /-/healthy": {
			id: "healthy", summary: "Does the loop run?",
			answer:    media{text},
			says:      "It ticked within 10 seconds",
			otherwise: map[int]refusal{500: {"It did not", text}},
		},
		"GET /-/ready": {
			id: "ready", summary: "Does HAProxy have what discovery says?",
			answer:    media{text},
			says:      "It does, or did once",
			otherwise: map[int]refusal{503: {"Why not, one reason a line", text}},
		},
		"POST /-/reload": {
			id: "reload", summary: "Read the configuration again",
			params: []string{"drain_removed"},
			says:   "Done",
			fails:  []int{400, 422, 503, 504},
		},
		"GET /metrics": {
			id: "metrics", summary: "Metrics for Prometheus",
			answer: media{text},
			says:   "In its text format, or what Accept asks for",
		},
		"GET /v1/haproxy/reload": {
			id: "haproxyReloadNeeded", summary: "Is a reload of HAProxy needed, and what came of the last?",
			answer: api.ReloadAnswer{},
			says:   "Which backends need it, and how each reload is",
			fails:  []int{503},
		},
		"POST /v1/haproxy/reload": {
			id: "haproxyReload", summary: "Reload HAProxy, as a transaction",
			description: "It is waited for, 10 minutes at most; what has begun goes on without who asks.",
			body:        api.ReloadBody{}, bodyOptional: true,
			answer: []api.ReloadStatus{},
			says:   "How the reloads are now",
			fails:  []int{400, 404, 409, 412, 422, 503, 504},
		},
		"GET /v1/haproxy/config": {
			id: "haproxyConfig", summary: "HAProxy's configuration",
			params: []string{"reload"},
			answer: media{text},
			says:   "The file",
			etag:   true,
			fails:  []int{404, 409, 503, 504},
		},
		"POST /v1/doctor": {
			id: "doctor", summary: "Ask every HAProxy and source what may go wrong, as the agent's user and in its environment",
			description: "One at a time; what it finds names files, users and addresses. Of a backend with dynamic: true, a server is added in maintenance and deleted at once.",
			answer:      []api.Finding{},
			says:        "What was found, the fine too",
			fails:       []int{409, 503, 504},
		},
		"POST /v1/haproxy/config/check": {
			id: "haproxyCheck", summary: "Render the configuration and have it checked; nothing changes",
			params: []string{"reload"},
			answer: api.CheckAnswer{},
			says:   "It is fine",
			fails:  []int{404, 409, 422, 503, 504},
		},
		"GET /v1/haproxy/config/diff": {
			id: "haproxyDiff", summary: "What changed between two versions",
			params: []string{"reload", "from", "to"},
			answer: media{text},
			says:   "A unified diff",
			fails:  []int{404, 409, 503, 504},
		},
		"GET /v1/haproxy/config/versions": {
			id: "haproxyVersions", summary: "The versions that are kept",
			params: []string{"reload"},
			answer: []api.ConfigVersion{},
			says:   "Newest first",
			fails:  []int{404, 409, 503, 504},
		},
		"GET /v1/haproxy/config/versions/{id}": {
			id: "haproxyVersion", summary: "One version",
			params: []string{"reload"},
			answer: media{text},
			says:   "The file as it was",
			fails:  []int{404, 409, 503, 504},
		},
		"POST /v1/haproxy/config/versions/{id}/restore": {
			id: "haproxyRestore", summary: "Put a version in force",
			params: []string{"reload", "by", "ifMatch"},
			answer: []api.ReloadStatus{},
			says:   "How the reloads are now",
			fails:  []int{400, 404, 409, 412, 422, 503, 504},
		},
		"GET /v1/haproxy/config/sections": {
			id: "haproxySections", summary: "The sections of the configuration",
			params: []string{"reload"},
			answer: []api.ConfigSection{},
			says:   "In the order of the file",
			etag:   true,
			fails:  []int{404, 409, 503, 504},
		},
		"GET /v1/haproxy/config/sections/{type}": {
			id: "haproxySectionUnnamed", summary: "One section",
			params: []string{"reload"},
			answer: media{text},
			says:   "As it is in the file",
			etag:   true,
			fails:  []int{404, 409, 503, 504},
		},
		"PUT /v1/haproxy/config/sections/{type}": {
			id: "haproxySetSectionUnnamed", summary: "Put a section in place of another, or add it; HAProxy is reloaded",
			params: []string{"reload", "by", "force", "dry_run", "ifMatch"},
			body:   "", bodySays: "The whole section, its first line included",
			answer: api.SectionAnswer{},
			says:   "What changed, and with which reload",
			fails:  []int{400, 404, 409, 412, 422, 428, 503, 504},
		},
		"DELETE /v1/haproxy/config/sections/{type}": {
			id: "haproxyRemoveSectionUnnamed", summary: "Remove a section; HAProxy is reloaded",
			params: []string{"reload", "by", "force", "dry_run", "ifMatch"},
			answer: api.SectionAnswer{},
			says:   "What changed, and with which reload",
			fails:  []int{400, 404, 409, 412, 422, 428, 503, 504},
		},
		"GET /v1/haproxy/config/sections/{type}/{name}": {
			id: "haproxySection", summary: "One section",
			params: []string{"reload"},
			answer: media{text},
			says:   "As it is in the file",
			etag:   true,
			fails:  []int{404, 409, 503, 504},
		},
		"PUT /v1/haproxy/config/sections/{type}/{name}": {
			id: "haproxySetSection", summary: "Put a section in place of another, or add it; HAProxy is reloaded",
			params: []string{"reload", "by", "force", "dry_run", "ifMatch"},
			body:   "", bodySays: "The whole section, its first line included",
			answer: api.SectionAnswer{},
			says:   "What changed, and with which reload",
			fails:  []int{400, 404, 409, 412, 422, 428, 503, 504},
		},
		"DELETE /v1/haproxy/config/sections/{type}/{name}": {
			id: "haproxyRemoveSection", summary: "Remove a section; HAProxy is reloaded",
			params: []string{"reload", "by", "force", "dry_run", "ifMatch"},
			answer: api.SectionAnswer{},
			says:   "What changed, and with which reload",
			fails:  []int{400, 404, 409, 412, 422, 428, 503, 504},
		},
		"POST /v1/instances/{instance}/raw": {
			id: "raw", summary: "Send a line of commands as it is",
			description: "Who shows nothing may only show and help, and nothing of the environment, keys, requests, tables, maps and ACLs.",
			body:        api.RawBody{},
			answer:      api.RawAnswer{},
			says:        "What HAProxy said",
			fails:       []int{400, 404, 502, 503, 504},
		},
		"GET /v1/instances/{instance}/info": {
			id: "showInfo", summary: "`show info`, now",
			answer: slots.Dump{},
			says:   "A table",
			fails:  []int{404, 502, 503, 504},
		},
		"GET /v1/instances/{instance}/stat": {
			id: "showStat", summary: "`show stat`, now",
			answer: slots.Dump{},
			says:   "A table",
			fails:  []int{404, 502, 503, 504},
		},
		"GET /v1/instances/{instance}/sess": {
			id: "showSess", summary: "`show sess`, now",
			answer: slots.Dump{},
			says:   "A table",
			fails:  []int{404, 502, 503, 504},
		},
		"GET /v1/instances/{instance}/servers": {
			id: "showServers", summary: "`show servers state`, now",
			answer: slots.Dump{},
			says:   "A table",
			fails:  []int{404, 502, 503, 504},
		},
		"GET /v1/backends/{backend}/servers": {
			id: "servers", summary: "The endpoints of a backend",
			answer: []api.ServerRow{},
			says:   "Those without a slot last",
			fails:  []int{404, 503},
		},
		"POST /v1/backends/{backend}/servers": {
			id: "addServer", summary: "Add an endpoint that no source lists",
			body:   api.ServerBody{},
			answer: api.ServerRef{},
			says:   "Which endpoint that is, and its slot",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"DELETE /v1/backends/{backend}/servers/{server}": {
			id: "removeServer", summary: "Remove an endpoint that was added",
			description: "One that a source lists is not removed (409): drain it.",
			body:        api.WhoBody{}, bodyOptional: true,
			answer: api.ServerRef{},
			says:   "Which endpoint that is, and its slot",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"PUT /v1/backends/{backend}/servers/{server}/state": {
			id: "setState", summary: "Drain an endpoint, stop it, or end that",
			body:   api.StateBody{},
			answer: api.ServerRef{},
			says:   "Which endpoint that is, and its slot",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"PUT /v1/backends/{backend}/servers/{server}/weight": {
			id: "setWeight", summary: "Give an endpoint another weight",
			body:   api.WeightBody{},
			answer: api.ServerRef{},
			says:   "Which endpoint that is, and its slot",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"POST /v1/backends/{backend}/servers/{server}/shutdown-sessions": {
			id: "shutSessions", summary: "End the sessions of an endpoint on all instances",
			body: api.WhoBody{}, bodyOptional: true,
			answer: api.ServerRef{},
			says:   "Which endpoint that is, and its slot",
			fails:  []int{400, 404, 409, 502, 503, 504},
		},
		"GET /v1/addresses": {
			id: "addresses", summary: "Every address, and where it is",
			answer: []api.AddressRow{},
			says:   "By address",
			fails:  []int{503},
		},
		"PUT /v1/addresses/{ip}/state": {
			id: "setAddressState", summary: "Drain an address on all backends, stop it, or end that",
			body:   api.StateBody{},
			answer: []api.ServerRef{},
			says:   "The endpoints that have it",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"PUT /v1/addresses/{ip}/weight": {
			id: "setAddressWeight", summary: "Give an address another weight on all backends",
			body:   api.WeightBody{},
			answer: []api.ServerRef{},
			says:   "The endpoints that have it",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"POST /v1/pause": {
			id: "pause", summary: "Stop writing",
			body: api.PauseBody{}, bodyOptional: true,
			answer: api.Pause{},
			says:   "Until when",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"POST /v1/resume": {
			id: "resume", summary: "Go on writing",
			body: api.PauseBody{}, bodyOptional: true,
			answer: struct{}{},
			says:   "Nothing",
			fails:  []int{400, 404, 409, 502, 503, 504, 507},
		},
		"GET /debug/pprof/": {
			id: "profiles", summary: "The profiles of the process; one of them under its name",
			answer: media{html},
			says:   "A page, or a profile",
		},
		"GET /debug/pprof/cmdline": {
			id: "cmdline", summary: "The command line",
			answer: media{text},
			says:   "Words with zeros between them",
		},
		"GET /debug/pprof/profile": {
			id: "profile", summary: "What the process does with its time",
			params: []string{"seconds"},
			answer: media{octets},
			says:   "A profile",
			fails:  []int{400},
		},
		"GET /debug/pprof/symbol": {
			id: "symbol", summary: "Names of program counters",
			answer: media{text},
			says:   "Addresses and names",
		},
		"GET /debug/pprof/trace": {
			id: "trace", summary: "What the process does, step by step",
			params: []string{"seconds"},
			answer: media{octets},
			says:   "A trace",
			fails:  []int{400},
		},
	}
}
