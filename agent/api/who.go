package api

import "time"

// A Who says whose wish something is, why, and for how long.
type Who struct {
	By, Reason string
	// For is how long it holds; 0 for no end.
	For time.Duration
	// Keep: also when its endpoint has not been listed for 24 hours.
	Keep bool
	// MaxFor is the longest it may hold, of somebody who has not full rights; 0 for
	// somebody who has.
	MaxFor time.Duration
}

// A ServerRef names one endpoint of one backend, and the slot that it has.
type ServerRef struct {
	Backend  string `json:"backend"`
	Endpoint string `json:"endpoint"`
	Slot     string `json:"slot"` // "" for none
}

// An Accepted is what an operator had go.
type Accepted struct {
	Backend string   `json:"backend"`
	ID      string   `json:"id"`
	Removed []string `json:"removed"`
}
