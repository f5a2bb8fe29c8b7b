package output

import (
	"errors"
	"fmt"
	"io"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// Degraded says in words what is not as it should be, one line each, whether the agent is
// ready or not: instances that are not in sync, sources that fail, backends of which
// something is held, kept or without a slot, reloads that failed. What an operator asked
// for is no fault.
func Degraded(s api.Status) (lines []string) {
	for _, in := range s.Instances {
		if !in.Up || !in.InSync || len(in.Unloaded) > 0 {
			lines = append(lines, "instance "+textfmt.Clip(in.Name)+": "+InstanceState(in))
		}
	}
	for _, src := range s.Sources {
		if src.State == "failing" {
			lines = append(lines, "source "+textfmt.Clip(src.Name)+" of "+textfmt.Clip(src.Backend)+": "+SourceState(src))
		}
	}
	for _, b := range s.Backends {
		if b.Hold != nil || b.Takeover != nil || len(b.Kept) > 0 || len(b.Overflow) > 0 || b.Problem != "" {
			lines = append(lines, "backend "+textfmt.Clip(b.Name)+": "+BackendState(b, s.At))
		}
	}
	for _, r := range s.Reloads {
		if r.Error != "" {
			lines = append(lines, "reload "+textfmt.Clip(r.Name)+": "+reloadResult(r))
		}
	}
	return lines
}

// WriteRound says in words how every instance is after a round.
func WriteRound(w io.Writer, status api.Status) error {
	for _, in := range status.Instances {
		if _, err := fmt.Fprintf(w, "%s  %s\n", textfmt.Clip(in.Name), InstanceState(in)); err != nil {
			return err
		}
	}
	return nil
}

// OutOfSync is an error that names the instances that are not in sync, nil if all are.
func OutOfSync(status api.Status) error {
	var errs []error
	for _, in := range status.Instances {
		if !in.Up || !in.InSync {
			errs = append(errs, fmt.Errorf("%s: %s", in.Name, InstanceState(in)))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("not every instance is in sync: %w (slotsync doctor says more)", errors.Join(errs...))
	}
	return nil
}
