package output

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// WritePlan says in words what a round would do, instance by instance.
func WritePlan(w io.Writer, p api.Plan) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, in := range p.Instances {
		switch {
		case in.Error != "":
			tableLine(table, in.Instance, "error: "+in.Error)
		case len(in.Changes) == 0 && len(p.Problems) > 0:
			tableLine(table, in.Instance, "nothing to change, as far as is known")
		case len(in.Changes) == 0:
			tableLine(table, in.Instance, "in sync")
		}
		for _, c := range in.Changes {
			tableLine(table, in.Instance, c.Backend+"/"+c.Slot, string(c.Kind), c.From+" -> "+c.To+when(c))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, b := range p.Backends {
		if b.Hold != nil {
			fmt.Fprintf(w, "%s: held (%s): %s\n", b.Name, b.Hold.Kind, textfmt.List(b.Hold.WouldRemove, 5))
		}
		if len(b.Overflow) > 0 {
			fmt.Fprintf(w, "%s: no slot is left for %s\n", b.Name, textfmt.Count(len(b.Overflow), "endpoint"))
		}
	}
	for _, problem := range p.Problems {
		fmt.Fprintf(w, "problem: %s\n", textfmt.OneLine(problem))
	}
	return nil
}

func when(c api.PlannedChange) string {
	if c.Waiting {
		return " (not yet: others come first)"
	}
	return ""
}
