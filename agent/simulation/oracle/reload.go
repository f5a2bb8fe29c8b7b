package oracle

import (
	"slices"
	"time"
)

// This file judges reloads of HAProxy that the agent does for want of slots.

// A Reload is one that begins or has ended.
type Reload struct {
	// Asked: a person did.
	Asked bool
	// Backends are those that lack slots; Tag is the state of the file that is rendered and
	// of its template, Slots how many slots every HAProxy has, when it begins.
	Backends   []string
	Tag, Slots string
	// Busy: nothing was tried for them, since another one ran or was to be ended.
	Busy bool
}

// A cause is good for one reload.
type cause struct{ backend, tag, slots string }

// reloads are what is known of them.
type reloads struct {
	interval time.Duration
	perHour  int
	ended    []time.Time
	tried    map[cause]time.Time
}

// ReloadRules tells how often the agent may reload HAProxy unasked.
func (o *Oracle) ReloadRules(interval time.Duration, perHour int) {
	o.keep("ReloadRules", interval, perHour)
	o.reloads.interval, o.reloads.perHour = interval, perHour
}

// ReloadBegins judges whether it may.
func (o *Oracle) ReloadBegins(at time.Time, r Reload) {
	o.keep("ReloadBegins", at, r)
	if r.Asked || at.Sub(o.changed) < Grace {
		return
	}
	known := &o.reloads
	inHour := 0
	for _, ended := range known.ended {
		if at.Sub(ended) < known.interval {
			o.wrong(at, "reload", "HAProxy is reloaded %s after it was last, sooner than %s", at.Sub(ended), known.interval)
		}
		if at.Sub(ended) < time.Hour {
			inHour++
		}
	}
	if inHour >= known.perHour {
		o.wrong(at, "reload", "HAProxy is reloaded after %d reloads in an hour", inHour)
	}
	if o.replaced(at) {
		return // it was begun for the slots of a process that is gone
	}
	for _, b := range r.Backends {
		if tried, ok := known.tried[cause{b, r.Tag, r.Slots}]; ok {
			o.wrong(at, "reload", "HAProxy is reloaded for %s once more: nothing has changed since %s", b, tried.Format(time.TimeOnly))
		}
	}
}

// replaced reports whether any HAProxy is another process for a moment only. The agent reloads
// unasked where all answer, so that it knows of those that are older.
func (o *Oracle) replaced(at time.Time) bool {
	for _, in := range o.instances {
		if in.managed && at.Sub(in.born) < Grace {
			return true
		}
	}
	return false
}

// ReloadEnds tells what came of it; Tag is that of the file by then.
func (o *Oracle) ReloadEnds(at time.Time, r Reload) {
	o.keep("ReloadEnds", at, r)
	known := &o.reloads
	known.ended = append(known.ended, at)
	switch {
	case r.Asked: // it may be tried again
		clear(known.tried)
	case r.Busy:
	default:
		for _, b := range r.Backends {
			known.tried[cause{b, r.Tag, r.Slots}] = at
		}
	}
}

// Rendered judges a template that a reload gave to an instance: it had so many slots. Nobody
// can know of slots that came while the instance could not be looked at, or was not to be for
// that backend.
func (o *Oracle) Rendered(at time.Time, instance, backend string, before, after int) {
	o.keep("Rendered", at, instance, backend, before, after)
	b, in := o.backendOf(backend), o.instances[instance]
	known := b != nil && in.looks.enough(at)
	if b != nil && !b.at(instance) {
		seen, ok := in.slots[backend]
		before, known = min(before, seen), ok
	}
	if after < before && known {
		o.wrong(at, "shrunk", "%s was reloaded with %d slots of %s, and had %d", instance, after, backend, before)
	}
}

// giveUp notes how many slots there are where the agent filled a backend until now.
func (o *Oracle) giveUp(at time.Time, before map[[2]string]bool) {
	now := o.serving()
	for where := range before {
		in, b := o.instances[where[0]], o.backends[where[1]]
		delete(in.slots, where[1])
		switch {
		case now[where]:
		case b.present && in.managed && in.looks.enough(at):
			for _, s := range in.backends[where[1]] {
				if b.owns(s.Name) && !s.Dynamic {
					in.slots[where[1]]++
				}
			}
		}
	}
}

// A sight is how long an agent that runs could look at a process.
type sight struct {
	since time.Time // zero: it cannot
	had   bool      // it could before
}

// enough reports whether it could for long enough to know the process.
func (s sight) enough(at time.Time) bool {
	return s.had || !s.since.IsZero() && at.Sub(s.since) > Grace
}

// begin notes that it can from now on, end that it cannot.
func (s *sight) begin(at time.Time) { s.since = at }

func (s *sight) end(at time.Time) { *s = sight{had: s.enough(at)} }

// forgetReloads drops what the agent may not have stored before it ended.
func (o *Oracle) forgetReloads(stored time.Time) {
	o.reloads.ended = slices.DeleteFunc(o.reloads.ended, func(at time.Time) bool { return at.After(stored) })
	for c, at := range o.reloads.tried {
		if at.After(stored) {
			delete(o.reloads.tried, c)
		}
	}
}
