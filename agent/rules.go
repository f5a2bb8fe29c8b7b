package agent

import "time"

// Holds that are no duration.
const (
	// Never is the hold that no confirmation ends.
	Never = time.Duration(-1)
	// Off lets everything pass at once, unconfirmed.
	Off = time.Duration(-2)
)

// Guard says how far a source may shrink a backend at once. The zero value of
// each field stands for its default.
type Guard struct {
	// EmptyHold is how long an empty set is held, RemovalHold how long one is
	// that lacks too many. Both may be [Off] or [Never].
	EmptyHold, RemovalHold time.Duration
	// MaxRemoval is the share of the baseline, 0..1, that may go at once.
	MaxRemoval float64
	// Window is how far back the baseline looks.
	Window time.Duration
	// MinEndpoints is how many endpoints must be left: a set that falls below it is
	// held, however few are missing. 0: no such bound.
	MinEndpoints int
	// TurnoverWait is how long the endpoints of a set that is replaced whole wait
	// for one of the new ones to be up. May be [Off].
	TurnoverWait time.Duration
}

// The defaults of [Guard].
const (
	DefaultEmptyHold   = 5 * time.Minute
	DefaultRemovalHold = 30 * time.Second
	DefaultMaxRemoval  = 0.5
	DefaultWindow      = 5 * time.Minute
	DefaultTurnover    = 15 * time.Second
)

func (g Guard) withDefaults() Guard {
	if g.EmptyHold == 0 {
		g.EmptyHold = DefaultEmptyHold
	}
	if g.RemovalHold == 0 {
		g.RemovalHold = DefaultRemovalHold
	}
	if g.MaxRemoval == 0 {
		g.MaxRemoval = DefaultMaxRemoval
	}
	if g.Window == 0 {
		g.Window = DefaultWindow
	}
	if g.TurnoverWait == 0 {
		g.TurnoverWait = DefaultTurnover
	}
	return g
}
