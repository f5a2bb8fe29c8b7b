package api

import (
	"net/http"
	"strings"
	"time"
)

// Types of what answers and requests carry.
const (
	JSONType    = "application/json"
	ProblemType = "application/problem+json" // a [Problem]
	TextType    = "text/plain; charset=utf-8"
	EventType   = "text/event-stream" // of [Event]s
)

const (
	// ReadyText is what /-/ready says if there is nothing to add.
	ReadyText = "ready"
	// HealthyText is what /-/healthy says if there is nothing to add.
	HealthyText = "healthy"
	// NothingAt begins the detail of a [Problem] about a path that there is not.
	NothingAt = "there is nothing at "
	// DrainRemoved is the parameter of /-/reload that empties what it removes.
	DrainRemoved = "drain_removed"
	// DryRun is the parameter that has an edit of a section shown and not made.
	DryRun = "dry_run"
	// SectionsPath is where the sections of HAProxy's configuration are: each under its
	// type, and its name if it has one.
	SectionsPath = "/v1/haproxy/config/sections"
)

// How long the agent takes to answer at most.
const (
	AnswerTimeout = time.Minute
	// ChangeTimeout is for what a request may make the agent do.
	ChangeTimeout = 30 * time.Second
	// TransactionTimeout is for what waits for a reload of HAProxy. What has begun goes on
	// without who asks.
	TransactionTimeout = 10 * time.Minute
	// Heartbeat is how often something is sent to who reads events, so that both ends know
	// the other is there.
	Heartbeat = 15 * time.Second
)

// WarningHeader says what went wrong besides, where something was done all the same.
const WarningHeader = "Slotsync-Warning"

// BodyType is the type of what a change carries, also where it carries nothing.
func BodyType(method, path string) string {
	if method == http.MethodPut && strings.HasPrefix(path, SectionsPath) {
		return "text/plain"
	}
	return JSONType
}
