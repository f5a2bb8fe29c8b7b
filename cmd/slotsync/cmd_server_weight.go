package main

import (
	"context"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newServerWeightCommand(a *app) *cobra.Command {
	var w wish
	var address string
	cmd := &cobra.Command{
		Use:   "weight BACKEND/SERVER WEIGHT | --address IP WEIGHT",
		Short: "Give a server another weight",
		Long: `Give a server another weight: 0 to 256, or a share of the configured one as in 20%,
at least 1. 0 drains. "source" gives it back the weight that its source says.`,
		Example: `  slotsync server weight web/10.0.0.1:80 58
  slotsync server weight web/websrv3 20% --for 1h
  slotsync server weight web/websrv3 source
  slotsync server weight --address 10.0.0.1 20%`,
		Args: func(cmd *cobra.Command, args []string) error {
			if address != "" && len(args) == 1 {
				return nil
			}
			if address != "" {
				return usageErrorf("with --address, %s takes a weight alone (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return oneServer(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			weight := args[len(args)-1]
			body, what := api.WeightBody{Weight: api.Weight(weight), WhoBody: w.body()}, "weight "+textfmt.Clip(weight)
			if weight == "source" {
				body.Weight = ""
			} else if err := checkWeight(weight); err != nil {
				return err
			}
			if err := w.check(); err != nil {
				return err
			}
			if address != "" {
				return a.operateAddress(cmd.Context(), address, what, w.output, func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) {
					return c.SetAddressWeight(ctx, ip, body)
				})
			}
			return a.operate(cmd.Context(), args[0], what, w.output, func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
				return c.SetWeight(ctx, backend, server, body)
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&address, "address", "", "every endpoint with this address, on all backends, now and later")
	a.agentFlags(cmd)
	return cmd
}

// checkWeight refuses what is no weight, "" included.
func checkWeight(weight string) error {
	if err := api.CheckWeight(weight); err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	return nil
}
