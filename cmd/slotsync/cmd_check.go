package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newCheckCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration",
		Long: `Check the configuration alone, without asking anybody. Every fault is printed
with its file, line and column. Exit 0 if there is none, else 2. Keys that have no
effect beside what else is configured are warned of, on standard error.

Variables of the environment count as the file does. One whose name is nearly right is
warned of, on standard error.`,
		Example: `  slotsync check
  slotsync check -o json
  slotsync check --config ./slotsync.yaml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, m := range a.place.Env.Misspelt() {
				fmt.Fprintf(a.stderr, "warning: %s\n", m)
			}
			cfg, err := a.config()
			if err == nil {
				for _, line := range cfg.Warnings.Lines() {
					fmt.Fprintln(a.stderr, "warning: "+line)
				}
			}
			if a.format == formatJSON {
				return a.checkedJSON(err)
			}
			if err != nil {
				return err
			}
			a.checked(cfg)
			return nil
		},
	}
	a.outputFlag(cmd)
	return cmd
}

func (a *app) checked(cfg *config.Config) {
	fmt.Fprintf(a.stdout, "%s: fine: %s, %s, %s\n", cfg.File, textfmt.Count(len(cfg.Instances), "instance"),
		textfmt.Count(len(cfg.Sources), "source"), textfmt.Count(len(cfg.Backends), "backend"))
	for _, note := range cfg.Notes() {
		fmt.Fprintln(a.stdout, "note: "+note)
	}
}

// checkedJSON prints the faults that err holds: none, if it is nil.
func (a *app) checkedJSON(err error) error {
	rows := []config.FaultRow{}
	found, ok := errors.AsType[*config.Error](err)
	if !ok && err != nil {
		return err // there is nothing to be judged
	}
	if found != nil {
		rows = found.Rows()
	}
	if err := output.WriteJSON(a.stdout, rows); err != nil || found == nil {
		return err
	}
	return &exitError{code: exitUsage}
}
