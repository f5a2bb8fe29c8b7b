package main

import (
	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
)

func newDoctorCommand(a *app) *cobra.Command {
	var d config.Inline
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask the live instances and sources what may go wrong",
		Long: `Ask every HAProxy and every source, and say what is fine, what is doubtful and
what does not work, and what to do about it. Nothing is changed; of a backend
with dynamic: true, a server is added in maintenance and deleted at once. Exit 1
if anything fails.`,
		Example: `  slotsync doctor
  slotsync doctor -o json
  slotsync doctor --socket /run/haproxy/admin.sock --backend web --consul web`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadOnce(d)
			if err != nil {
				return err
			}
			w, err := daemon.Wire(cfg, nil)
			if err != nil {
				return err
			}
			c := doctor.Clients{Instances: w.Clients, Transactions: w.Transactions, Sources: w.Sources, Diagnose: w.Systems.Diagnosers()}
			list := doctor.Examine(cmd.Context(), a.place.Env, cfg, c)
			if err := cmd.Context().Err(); err != nil {
				return err // what was cut short looks as if it were at fault
			}
			if err := show(a, list, func(list []doctor.Finding) error { return doctor.Write(a.stdout, list) }); err != nil {
				return err
			}
			if doctor.Failed(list) {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	a.outputFlag(cmd)
	inlineFlags(cmd, &d)
	return cmd
}
