package main

import (
	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newPlanCommand(a *app) *cobra.Command {
	var d config.Inline
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
			cfg, err := a.loadOnce(d)
			if err != nil {
				return err
			}
			plan, err := daemon.Plan(cmd.Context(), cfg, a.runOptions())
			if err != nil {
				return err
			}
			if err := show(a, plan, output.WritePlan); err != nil {
				return err
			}
			return planVerdict(plan)
		},
	}
	a.outputFlag(cmd)
	inlineFlags(cmd, &d)
	return cmd
}

// planVerdict is the exit code of a plan: errors weigh more than changes.
func planVerdict(p api.Plan) error {
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
