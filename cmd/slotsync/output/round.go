package output

import (
	"errors"
	"fmt"
	"io"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

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
