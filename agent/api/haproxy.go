package api

import (
	"strings"

	"github.com/slotsync/slotsync/slots"
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

// What is known of HAProxy's configuration.
type (
	// A ConfigVersion is one version of it that is kept.
	ConfigVersion = slots.ConfigVersion
	// A ConfigSection is one section of it.
	ConfigSection = slots.ConfigSection
)

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

// String names the section, as in "backend web".
func (e SectionEdit) String() string { return strings.TrimSpace(e.Type + " " + e.Name) }

// An OldWorker is a process that a reload has left with its last connections.
// What it knew then it goes on serving.
type OldWorker struct {
	Pid        int     `json:"pid"`
	AgeSeconds float64 `json:"age_seconds"`
	// Sessions are its connections; -1: it did not say.
	Sessions int `json:"sessions"`
}
