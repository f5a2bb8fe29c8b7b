package agent

import "errors"

// What an operator's request can fail with besides the context's error. Errors
// that wrap them say which backend was meant.
var (
	// ErrNoBackend: no backend has this name.
	ErrNoBackend = errors.New("no such backend")
	// ErrNothingHeld: the guard holds nothing back that could be accepted.
	ErrNothingHeld = errors.New("nothing is held")
)
