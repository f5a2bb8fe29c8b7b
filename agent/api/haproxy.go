package api

import (
	"strings"
	"time"
)

// A ReloadRequest is what a person asks for.
type ReloadRequest struct {
	// Name is of the reload that is meant; "" for all, one after the other.
	Name string
	// By says who asks, and must not be empty; Reason why.
	By, Reason string
	// Force overwrites a file that was changed by hand.
	Force bool
}

// A ConfigVersion is one version of HAProxy's configuration that is kept.
type ConfigVersion struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"` // "": the agent itself
	SHA256 string    `json:"sha256"`
	Bytes  int       `json:"bytes"`
	Good   bool      `json:"good"` // HAProxy ran with it
}

// A ConfigSection is one section of HAProxy's configuration, as it stands in the
// template if there is one, else in the file.
type ConfigSection struct {
	Type string `json:"type"`
	Name string `json:"name"` // "" for sections without one
	Line int    `json:"line"`
}

// A SectionEdit changes one section.
type SectionEdit struct {
	// Reload is the name of the reload whose configuration is meant; it may be ""
	// where there is one only.
	Reload string
	// Type and Name of the section.
	Type, Name string
	// Body is the whole section; nil deletes it.
	Body []byte
	// ETag is the one of what was read; "" for whatever is there.
	ETag string
	// By says who asks. Force overwrites a file that was changed by hand since it
	// was rendered.
	By    string
	Force bool
}

func (e SectionEdit) String() string { return strings.TrimSpace(e.Type + " " + e.Name) }

// An OldWorker is a process that a reload has left with its last connections.
// What it knew then it goes on serving.
type OldWorker struct {
	Pid        int     `json:"pid"`
	AgeSeconds float64 `json:"age_seconds"`
	// Sessions are its connections; -1: it did not say.
	Sessions int `json:"sessions"`
}
