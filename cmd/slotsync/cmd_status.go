package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newStatusCommand(a *app) *cobra.Command {
	var watch, all bool
	cmd := a.agentCommand(cobra.Command{
		Use:   "status [BACKEND]",
		Short: "Show instances, sources, backends and slots",
		Long: `Show what the running agent knows: how each HAProxy and each source is doing,
what the guard holds, and which endpoint sits in which slot. With a BACKEND, only that one, its sources and its
instances. Exit 1: the agent is not ready, or has no such backend.`,
		Example: `  slotsync status
  slotsync status web
  slotsync status --watch
  slotsync status -o json
  slotsync status --agent http://127.0.0.1:9750`,
		Args: oneOrAll,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		write := output.Style{Colour: a.colour(), All: all}.WriteStatus
		choose := func(s api.Status) (api.Status, error) {
			if len(args) == 0 {
				return s, nil
			}
			return remote.OfBackend(s, args[0])
		}
		if watch {
			return a.watch(ctx, c, choose, write)
		}
		status, err := c.Status(ctx)
		if err == nil {
			status, err = choose(status)
		}
		if err != nil {
			return err
		}
		if err := show(a, status, write); err != nil || status.Ready {
			return err
		}
		return &exitError{code: exitFailed} // it says so itself
	})
	a.outputFlag(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again when it changes and every second, until interrupted")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show free slots too")
	return cmd
}

// colour reports whether what is written may be coloured.
func (a *app) colour() bool { return textfmt.IsTerminal(a.stdout) && a.place.Env["NO_COLOR"] == "" }

// watch shows the status again and again, as JSON on one line each. That the agent does not
// answer is worth watching too.
func (a *app) watch(ctx context.Context, c *client.Client, choose func(api.Status) (api.Status, error), write func(io.Writer, api.Status) error) error {
	return remote.Watch(ctx, c, func(status api.Status, err error) error {
		if err == nil {
			if status, err = choose(status); err != nil {
				return err
			}
		}
		if a.format != formatJSON && textfmt.IsTerminal(a.stdout) {
			fmt.Fprint(a.stdout, textfmt.ClearScreen)
		}
		switch {
		case err != nil:
			report(a.stderr, err)
			return nil
		case a.format == formatJSON:
			return output.WriteIndented(a.stdout, status, "")
		}
		return write(a.stdout, status)
	})
}
