package main

import (
	"bytes"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/demo"
)

func newDemoCommand() *cobra.Command {
	var o demo.Options
	var film bytes.Buffer
	var svg string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on real HAProxies, with everything else embedded",
		Long: `Show the main job in about 40 seconds, on this machine alone.

Starts two HAProxies, instances of a service, and a DNS server that knows them,
sends requests through both HAProxies, and plays: scaling up and down, an outage
of discovery, the death and a reload of an HAProxy, a deployment, and more instances
than there are slots. Needs nothing but an HAProxy binary: --haproxy, else the one
that make deps laid out, else the one in PATH. Everything listens on 127.0.0.1 and is gone at the end.

Exit code 1: a request failed that should not have, or something was not seen.`,
		Example: `  slotsync demo
  slotsync demo --haproxy /usr/sbin/haproxy --keep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Version, o.Deps, o.NoColor = version, os.Getenv("SLOTSYNC_DEPS"), os.Getenv("NO_COLOR") != ""
			if svg == "" {
				return demo.Run(ctx, o, cmd.OutOrStdout())
			}
			o.Film = &film
			if err := demo.Run(ctx, o, cmd.OutOrStdout()); err != nil {
				return err
			}
			return os.WriteFile(svg, film.Bytes(), 0o644)
		},
	}
	cmd.Flags().StringVar(&o.HAProxy, "haproxy", "", "the HAProxy binary to use")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	cmd.Flags().StringVar(&svg, "svg", "", "write what is shown to `FILE`, as a moving picture for a browser")
	return cmd
}
