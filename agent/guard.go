package agent

import "time"

// Never is the hold that no confirmation ends.
const Never = time.Duration(-1)

// Guard says how far a source may shrink a backend at once. The zero value
// stands for the defaults; a hold that is off is [Off].
type Guard struct {
	// EmptyHold is how long an empty set is held, RemovalHold how long one is
	// that lacks too many. Both may be [Off] or [Never].
	EmptyHold, RemovalHold time.Duration
	// MaxRemoval is the share of the baseline, 0..1, that may go at once.
	MaxRemoval float64
	// Window is how far back the baseline looks.
	Window time.Duration
}

// Off is the hold that lets everything pass, unconfirmed.
const Off = time.Duration(-2)

// The defaults of [Guard].
const (
	DefaultEmptyHold   = 5 * time.Minute
	DefaultRemovalHold = 30 * time.Second
	DefaultMaxRemoval  = 0.5
	DefaultWindow      = 5 * time.Minute
)
