package api

import (
	"slices"
	"time"
)

// What a [Hold] can be of.
const (
	HoldEmpty     = "empty"     // the sources list nothing any more
	HoldRemoval   = "removal"   // they list far fewer at once
	HoldUnhealthy = "unhealthy" // all that is registered is unhealthy
	HoldTakeover  = "takeover"  // live addresses that no source has ever listed
)

// Kept is the kind of an [Acceptable] that nothing is held for.
const Kept = "kept"

// An Acceptable is what an operator can accept to go, under its id: a hold, what is kept
// of one part of a source, or a takeover.
type Acceptable struct {
	ID string
	// Kind is that of a [Hold], or [Kept].
	Kind  string
	Since time.Time
	// Reason says in words why it has not gone yet.
	Reason string
	// Endpoints would go.
	Endpoints []string
}

// Acceptable lists what of the backend can be accepted now: what the guard holds first,
// then what is kept, then a takeover.
func (b BackendStatus) Acceptable() []Acceptable {
	var out []Acceptable
	add := func(x Acceptable) {
		if x.ID != "" && !slices.ContainsFunc(out, func(y Acceptable) bool { return y.ID == x.ID }) {
			out = append(out, x)
		}
	}
	if h := b.Hold; h != nil {
		add(h.acceptable())
	}
	for _, k := range b.Kept {
		add(Acceptable{ID: k.ID, Kind: Kept, Since: k.Since, Reason: k.Words(), Endpoints: k.Endpoints})
	}
	if h := b.Takeover; h != nil {
		add(h.acceptable())
	}
	return out
}

func (h *Hold) acceptable() Acceptable {
	return Acceptable{ID: h.ID, Kind: h.Kind, Since: h.Since, Reason: h.Words(), Endpoints: h.WouldRemove}
}

// Words says what is held, as in "the source lists far fewer".
func (h *Hold) Words() string {
	switch h.Kind {
	case HoldEmpty:
		return "the source lists nothing"
	case HoldRemoval:
		return "the source lists far fewer"
	case HoldUnhealthy:
		return "all that is registered is unhealthy"
	case HoldTakeover:
		if h.BlocksWriting {
			return "slots serve addresses that no source has ever listed, and none that one lists: nothing is written (is the name right?)"
		}
		return "slots serve addresses that no source has ever listed"
	}
	return h.Kind
}

// Words says of which source it is kept, and why.
func (k KeptSet) Words() string {
	return PartOf(k.Source, k.Part) + ": " + k.Reason
}

// PartOf names a part of a source; part is "" for all of it.
func PartOf(source, part string) string {
	if part == "" {
		return source
	}
	return source + ", " + part
}

// KeptOf is the set in which an endpoint is kept; nil if it is not.
func (b BackendStatus) KeptOf(endpoint string) *KeptSet {
	for i := range b.Kept {
		if slices.Contains(b.Kept[i].Endpoints, endpoint) {
			return &b.Kept[i]
		}
	}
	return nil
}
