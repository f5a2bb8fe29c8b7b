package slots

import (
	"errors"
	"time"
)

// What can be wrong with a question about HAProxy's configuration, or with a change to it:
// callers tell these apart with errors.Is.
var (
	// ErrNoVersion: that version of the configuration is not kept.
	ErrNoVersion = errors.New("no such version is kept")
	// ErrNoSection: the configuration has no section of that type and name.
	ErrNoSection = errors.New("no such section")
	// ErrBadSection: what is to be put in place is not one whole section of that type and
	// name, or several have it.
	ErrBadSection = errors.New("not that section")
	// ErrConfigChanged: the configuration is not the one that a change was made of.
	ErrConfigChanged = errors.New("HAProxy's configuration is another one by now: look at it again")
	// ErrNotKept: there is no folder for versions, so the file is not replaced.
	ErrNotKept = errors.New("no versions of the file are kept here, so that it is not changed")
)

// A ConfigVersion is one version of HAProxy's configuration that is kept.
type ConfigVersion struct {
	// ID names it; later ones sort after earlier ones.
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"` // "": the agent itself
	SHA256 string    `json:"sha256"`       // in hex
	Bytes  int       `json:"bytes"`
	Good   bool      `json:"good"` // HAProxy ran with it
}

// A ConfigSection is one section of HAProxy's configuration, as it stands in the
// template if there is one, else in the file.
type ConfigSection struct {
	Type string `json:"type"` // the word that opens it, as in "backend"
	Name string `json:"name"` // "" for sections without one
	Line int    `json:"line"` // where it begins, from 1 on
}
