package guard

import "time"

// Holds that are no duration.
const (
	// Never is the hold that no confirmation ends.
	Never = time.Duration(-1)
	// Off lets everything pass at once, unconfirmed.
	Off = time.Duration(-2)
)

// Rules say how far the sources may shrink a backend at once. The zero value of
// each field stands for its default.
type Rules struct {
	// EmptyHold is how long an empty set is held, RemovalHold how long one is
	// that lacks too many. Both may be [Off] or [Never].
	EmptyHold, RemovalHold time.Duration
	// MaxRemoval is the share of the largest set within Window, 0..1, that may be lost
	// at once.
	MaxRemoval float64
	// Window is how far back the largest set is looked for.
	Window time.Duration
	// MinEndpoints is how many endpoints must be left: a set that falls below it is
	// held, however few are missing. 0: no such bound.
	MinEndpoints int
	// TurnoverWait is how long the endpoints of a small set that is replaced whole wait
	// for one of the new ones to be up, and how long an endpoint that nobody checks is
	// in service before it has proved itself. May be [Off].
	TurnoverWait time.Duration
}

// The defaults of [Rules].
const (
	DefaultEmptyHold   = 5 * time.Minute
	DefaultRemovalHold = 30 * time.Second
	DefaultMaxRemoval  = 0.5
	DefaultWindow      = 5 * time.Minute
	DefaultTurnover    = 15 * time.Second
)

// WithDefaults returns r with the default in each field that is zero.
func (r Rules) WithDefaults() Rules {
	if r.EmptyHold == 0 {
		r.EmptyHold = DefaultEmptyHold
	}
	if r.RemovalHold == 0 {
		r.RemovalHold = DefaultRemovalHold
	}
	if r.MaxRemoval == 0 {
		r.MaxRemoval = DefaultMaxRemoval
	}
	if r.Window == 0 {
		r.Window = DefaultWindow
	}
	if r.TurnoverWait == 0 {
		r.TurnoverWait = DefaultTurnover
	}
	return r
}

// limit is how long a hold of that kind lasts.
func (r Rules) limit(kind string) time.Duration {
	if kind == Empty {
		return r.EmptyHold
	}
	return r.RemovalHold
}
