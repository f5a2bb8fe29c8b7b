package main

import (
	"context"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newServerWeightCommand(a *app) *cobra.Command {
	var body api.WeightBody
	cmd := a.serverCommand(cobra.Command{
		Use:   "weight BACKEND/SERVER WEIGHT | --address IP WEIGHT",
		Short: "Give a server another weight",
		Long: `Give a server another weight: 0 to 256, or a share of the configured one as in 20%,
at least 1. 0 drains. "source" gives it back the weight that its source says.`,
		Example: `  slotsync server weight web/10.0.0.1:80 58
  slotsync server weight web/websrv3 20% --for 1h
  slotsync server weight web/websrv3 source
  slotsync server weight --address 10.0.0.1 20%`,
	}, &serverChange{
		who:  &body.WhoBody,
		more: 1,
		what: func(args []string) string { return "weight " + textfmt.Clip(args[len(args)-1]) },
		check: func(args []string) error {
			weight := args[len(args)-1]
			if weight == "source" {
				return nil
			}
			body.Weight = api.Weight(weight)
			return checkWeight(weight)
		},
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			return c.SetWeight(ctx, backend, server, body)
		},
		all: func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) {
			return c.SetAddressWeight(ctx, ip, body)
		},
	})
	whoFlags(cmd, &body.WhoBody)
	return cmd
}

// checkWeight refuses what is no weight, "" included.
func checkWeight(weight string) error {
	if err := api.CheckWeight(weight); err != nil {
		return &config.UsageError{Err: err}
	}
	return nil
}
