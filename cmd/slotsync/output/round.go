package output

import (
	"errors"
	"fmt"
	"io"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// WriteRound says how every instance is after a round.
func WriteRound(w io.Writer, status api.Status, format string) error {
	if format == "json" {
		if err := WriteJSON(w, status); err != nil {
			return err
		}
	}
	var errs []error
	for _, in := range status.Instances {
		if format != "json" {
			fmt.Fprintf(w, "%s  %s\n", textfmt.Clip(in.Name), InstanceState(in))
		}
		if !in.Up || !in.InSync {
			errs = append(errs, fmt.Errorf("%s: %s", in.Name, InstanceState(in)))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("not every instance is in sync: %w (slotsync doctor says more)", errors.Join(errs...))
	}
	return nil
}
