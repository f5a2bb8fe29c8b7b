package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration",
		Long: `Check the configuration alone, without asking anybody. Every fault is printed
with its file, line and column. Exit 0 if there is none, else 2.`,
		Example: `  slotsync check
  slotsync check --config ./slotsync.yaml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s: fine: %s, %s, %s\n", cfg.file, count(len(cfg.instances), "instance"),
				count(len(cfg.sources), "source"), count(len(cfg.backends), "backend"))
			for _, note := range notes(cfg.overruled) {
				fmt.Fprintln(a.stdout, "note: "+note)
			}
			return nil
		},
	}
}

// count writes "1 slot" and "2 slots".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
