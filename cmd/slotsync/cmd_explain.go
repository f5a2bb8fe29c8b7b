package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newExplainCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "explain BACKEND [ADDRESS]",
		Short: "Say why a backend, or an address in it, is as it is",
		Long: `Say why a backend is as it is, or an address in it: what each source was asked and
said and when it is asked again, what the guard holds and why, which slot has the
address, what each HAProxy shows, and what was said to it last. The first line is
the verdict.

ADDRESS is ip:port, [v6]:port, an IP address (all of its ports) or the name of a
slot. Without it the sources and the guard of the backend are explained. BACKEND/ADDRESS
is understood too. Exit 1 if there is no such backend or slot.`,
		Example: `  slotsync explain web 10.0.0.1:80
  slotsync explain web '[2001:db8::1]:80'
  slotsync explain web 10.0.0.1
  slotsync explain web websrv7
  slotsync explain web
  slotsync explain web 10.0.0.1:80 -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageErrorf("explain takes the name of one backend, and an address in it (see %s --help)", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			backend, about, _ := strings.Cut(strings.Join(args, "/"), "/") // as the other commands name a server
			return ask(cmd.Context(), a, format, func(c *client.Client) (api.Explanation, error) {
				return explained(cmd.Context(), c, backend, about)
			}, func(e api.Explanation) error { return output.WriteExplanation(a.stdout, e) })
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// explained has about explained, and says where the right name of it is found.
func explained(ctx context.Context, c *client.Client, backend, about string) (api.Explanation, error) {
	e, err := c.Explain(ctx, backend, about)
	switch {
	case errors.Is(err, api.ErrNoBackend):
		err = fmt.Errorf("there is no backend %q: slotsync status lists them", textfmt.Clip(backend))
	case errors.Is(err, api.ErrNoSubject):
		err = fmt.Errorf("%q is neither an address nor a slot of %s: slotsync status --all lists the slots", textfmt.Clip(about), textfmt.Clip(backend))
	}
	return e, err
}
