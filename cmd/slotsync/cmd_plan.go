package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newPlanCommand(a *app) *cobra.Command {
	var d config.Inline
	var output string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a round would change, and change nothing",
		Long: `Read sources and instances once and show what a round would change. Nothing is
written; a socket of level user is enough. Exit 0 in sync, 3 changes pending,
1 error.`,
		Example: `  slotsync plan
  slotsync plan -o json
  slotsync plan --socket /run/haproxy/admin.sock --backend web --consul web`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(output); err != nil {
				return err
			}
			cfg, w, err := a.wired(d)
			if err != nil {
				return err
			}
			ag, err := a.newAgent(cfg, w)
			if err != nil {
				return err
			}
			plan, err := ag.Plan(cmd.Context())
			if err != nil {
				return err
			}
			if err := printPlan(a.stdout, plan, output); err != nil {
				return err
			}
			return planVerdict(plan)
		},
	}
	outputFlag(cmd, &output)
	inlineFlags(cmd, &d)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "text or json, which cuts no long cell")
}

func knownOutput(output string) error {
	if output != "text" && output != "json" {
		return usageErrorf("-o is text or json, not %q", textfmt.Clip(output))
	}
	return nil
}

func printPlan(w io.Writer, p agent.Plan, output string) error {
	if output == "json" {
		return printJSON(w, p)
	}
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

func when(c agent.PlannedChange) string {
	if c.Waiting {
		return " (not yet: others come first)"
	}
	return ""
}

// planVerdict is the exit code of a plan: errors weigh more than changes.
func planVerdict(p agent.Plan) error {
	pending := false
	for _, in := range p.Instances {
		if in.Error != "" {
			return &exitError{code: exitFailed}
		}
		pending = pending || len(in.Changes) > 0
	}
	switch {
	case len(p.Problems) > 0:
		return &exitError{code: exitFailed}
	case pending:
		return &exitError{code: exitDiffers}
	}
	return nil
}
