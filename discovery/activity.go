package discovery

import "time"

// An Activity is what a source does now, for people. Every field may be empty.
type Activity struct {
	// Question is what was asked last, and of whom, as in "GET
	// /v1/health/service/web?index=42&stale&wait=60s of http://127.0.0.1:8500". It
	// holds no secret.
	Question string    `json:"question,omitempty"`
	Asked    time.Time `json:"asked,omitzero"`
	// Answer is what came back, in a line, as in "200, 12 instances, index 43".
	Answer   string    `json:"answer,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	// Next is when it is asked again; zero: it is being asked, or this is not known.
	Next time.Time `json:"next,omitzero"`
	// Remarks are what one should know besides, as in "polled every 10s: more
	// services than connections".
	Remarks []string `json:"remarks,omitempty"`
}

// Active is a [Source] that tells what it does. Activity may be called at any
// time, from any goroutine, and does not block.
type Active interface{ Activity() Activity }

// ActivityOf returns what src does, as far as it tells.
func ActivityOf(src Source) Activity {
	if a, ok := src.(Active); ok {
		return a.Activity()
	}
	return Activity{}
}
