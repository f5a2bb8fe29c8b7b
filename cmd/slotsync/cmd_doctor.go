package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newDoctorCommand(a *app) *cobra.Command {
	var d config.Inline
	var format string
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
			if err := knownOutput(format); err != nil {
				return err
			}
			cfg, err := a.loadOnce(d)
			if err != nil {
				return err
			}
			w, err := daemon.Wire(cfg, nil)
			if err != nil {
				return err
			}
			c := doctor.Clients{Instances: w.Clients, Transactions: w.Transactions, Sources: w.Sources, Diagnose: w.Systems.Diagnosers()}
			list := doctor.Examine(cmd.Context(), a.env, cfg, c)
			if err := cmd.Context().Err(); err != nil {
				return err // what was cut short looks as if it were at fault
			}
			if err := printFindings(a.stdout, list, format); err != nil {
				return err
			}
			if doctor.Failed(list) {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	outputFlag(cmd, &format)
	inlineFlags(cmd, &d)
	return cmd
}

func printFindings(w io.Writer, list []doctor.Finding, format string) error {
	if format == "json" {
		return output.WriteJSON(w, list)
	}
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", f.Verdict, f.Subject, f.Text); err != nil {
			return err
		}
	}
	return nil
}
