package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

func newExplainCommand(a *app) *cobra.Command {
	return askCommand(a, cobra.Command{
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
		Args: takes(1, 2, "the name of one backend, and an address in it"),
	}, func(ctx context.Context, c *client.Client, args []string) (api.Explanation, error) {
		backend, about, _ := strings.Cut(strings.Join(args, "/"), "/") // as the other commands name a server
		return remote.Explain(ctx, c, backend, about)
	}, output.WriteExplanation)
}
