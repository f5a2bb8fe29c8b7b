package api

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Undone says what a round left undone: sources that are not known, backends that cannot
// be filled or are paused, instances that are not in sync. It is nil if there is nothing.
func (s Status) Undone() error {
	var errs []error
	for _, src := range s.Sources {
		if src.State == "failing" || src.State == "unknown" {
			errs = append(errs, fmt.Errorf("backend %s: %s: %s", src.Backend, src.Asks, cmp.Or(src.LastError, "no answer in time")))
		}
		for _, p := range src.UnknownParts() {
			errs = append(errs, fmt.Errorf("backend %s: %s: %s", src.Backend, src.Asks, p))
		}
	}
	for _, b := range s.Backends {
		if b.Problem != "" {
			errs = append(errs, fmt.Errorf("backend %s: %s", b.Name, b.Problem))
		}
		if b.Paused != nil {
			errs = append(errs, fmt.Errorf("backend %s: nothing is written until %s, by %s", b.Name, b.Paused.UTC().Format(time.RFC3339), b.PausedBy))
		}
	}
	for _, in := range s.Instances {
		if !in.InSync {
			errs = append(errs, fmt.Errorf("instance %s: %s", in.Name, cmp.Or(in.LastError, "not in step in time")))
		}
	}
	return errors.Join(errs...)
}

// UnknownParts names the parts of a source that could not be read, and why.
func (s SourceStatus) UnknownParts() []string {
	var out []string
	for _, p := range s.Parts {
		if p.State == discovery.Unknown.String() {
			out = append(out, p.Name+": "+p.Reason)
		}
	}
	return out
}
