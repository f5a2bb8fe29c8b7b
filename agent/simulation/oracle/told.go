package oracle

import (
	"slices"
	"time"
)

// This file judges metrics and events.

// saysSeries: metrics say what the status says.
func (o *Oracle) saysSeries(at time.Time, s Status) {
	want := map[string]float64{}
	number := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	for _, in := range s.Instances {
		want["in_sync "+in.Name], want["up "+in.Name] = number(in.InSync), number(in.Up)
	}
	for _, b := range s.Backends {
		want["held "+b.Name], want["kept "+b.Name], want["overflow "+b.Name] = number(b.Held), float64(len(b.Kept)), float64(len(b.Overflow))
	}
	for name, value := range want {
		got, ok := s.Series[name]
		d := o.differ[name]
		switch since := d.since; {
		case !ok || got == value:
			delete(o.differ, name)
		case since.IsZero() || d.value != value:
			o.differ[name] = difference{value, at}
		case at.Sub(since) > Grace && at.Sub(since) < 8*Grace:
			o.wrong(at, "metrics", "%s is %g in the metrics, and %g in the status", name, got, value)
		case at.Sub(since) >= 8*Grace:
			o.differ[name] = difference{value, at} // it was another time
		}
	}
}

// saysEvents: of everything that the agent took out of service it tells.
func (o *Oracle) saysEvents(at time.Time) {
	o.done = slices.DeleteFunc(o.done, func(r removal) bool {
		if at.Sub(r.at) < Grace {
			return false
		}
		in := o.instances[r.instance]
		if in == nil || !in.calm(at, at.Sub(r.at)+Grace) {
			return true // it may not know that it did
		}
		if !slices.ContainsFunc(o.events, func(e Event) bool {
			return e.Instance == r.instance && slices.Contains(e.Slots, r.slot) && e.At.Sub(r.at).Abs() < Grace
		}) {
			o.wrong(at, "events", "nothing was told of %q at %s", r.command, r.instance)
		}
		return true
	})
	o.events = slices.DeleteFunc(o.events, func(e Event) bool { return at.Sub(e.At) > time.Minute })
}
