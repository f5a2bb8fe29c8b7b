package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/web"
)

func newRawCommand(a *app) *cobra.Command {
	var output, instance string
	var yes bool
	cmd := &cobra.Command{
		Use:   "raw COMMAND...",
		Short: "Send a line of commands to HAProxy, as it is",
		Long: `Send a line of Runtime API commands to every instance, or to one, and print what
each answers. Several commands are separated by ";". Whatever is more than "show" or
"help" needs --yes, and the unix socket or a token: the agent does not know of it,
and what it changes of a slot counts as somebody else's doing.`,
		Example: `  slotsync haproxy raw show pools
  slotsync haproxy raw "show version; show activity" --instance edge-1
  slotsync haproxy raw --yes "clear counters"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := strings.Join(args, " ")
			if err := errors.Join(knownOutput(output), rawAllowed(line, yes)); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			got, err := everyInstance(cmd.Context(), c, instance, func(ctx context.Context, name string) (string, error) {
				return c.Raw(ctx, name, web.RawBody{Command: line, By: whoami()})
			})
			if err != nil {
				return err
			}
			if output == "json" {
				return errors.Join(printJSON(a.stdout, got), silent(got))
			}
			return errors.Join(a.rawText(got), silent(got))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "send it although it may change something")
	instanceFlag(cmd, &instance)
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

// rawAllowed refuses what is nothing, and what may write and was not meant to.
func rawAllowed(line string, yes bool) error {
	switch {
	case strings.TrimSpace(line) == "":
		return usageErrorf("raw takes a command, as in: slotsync haproxy raw show pools")
	case !yes && !web.OnlyShows(line):
		return usageErrorf("%q may change something: add --yes if that is meant", shown(line))
	}
	return nil
}

// rawText prints answers as they came, under the name of the instance if there are
// several.
func (a *app) rawText(got []shownBy[string]) error {
	for _, g := range got {
		if g.Error != "" {
			continue
		}
		if len(got) > 1 {
			fmt.Fprintf(a.stdout, "== %s\n", shown(g.Instance))
		}
		if err := a.printFile(strings.TrimRight(g.Answer, "\n") + "\n"); err != nil {
			return err
		}
	}
	return nil
}
