package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
)

func newDoctorCommand(a *app) *cobra.Command {
	var d config.Inline
	var inside bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask the live instances and sources what may go wrong",
		Long: `Ask every HAProxy and every source, and say what is fine, what is doubtful and
what does not work, and what to do about it. Nothing is changed; of a backend
with dynamic: true, a server is added in maintenance and deleted at once. Exit 1
if anything fails.

With --inside the running agent asks the same, as its user and in its environment,
with the configuration that is in force: what this shell may read, reach or resolve
does not count. --agent says which agent; it takes the unix socket or a token.`,
		Example: `  slotsync doctor
  slotsync doctor -o json
  slotsync doctor --inside
  slotsync doctor --socket /run/haproxy/admin.sock --backend web --consul web`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := a.findings(cmd.Context(), d, inside)
			if err != nil {
				return err
			}
			return a.showFindings(list)
		},
	}
	a.outputFlag(cmd)
	inlineFlags(cmd, &d)
	cmd.Flags().BoolVar(&inside, "inside", false, "have the running agent ask, as its user and in its environment")
	a.agentFlags(cmd)
	return cmd
}

// findings asks here, or inside the running agent.
func (a *app) findings(ctx context.Context, d config.Inline, inside bool) ([]api.Finding, error) {
	if !inside {
		cfg, err := a.loadOnce(d)
		if err != nil {
			return nil, err
		}
		w, err := daemon.Wire(cfg, nil)
		if err != nil {
			return nil, err
		}
		list := a.examine(ctx, cfg, w)
		return list, ctx.Err() // what was cut short looks as if it were at fault
	}
	if !d.Empty() {
		return nil, usageErrorf("--inside is about the configuration of the running agent: it does not go with --socket, --backend and what belongs to them")
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return c.Doctor(ctx)
}

// examine asks the instances and sources of cfg what may go wrong.
func (a *app) examine(ctx context.Context, cfg *config.Config, w daemon.Wiring) []api.Finding {
	return doctor.Examine(ctx, a.place.Env, cfg, w, a.bundling)
}
