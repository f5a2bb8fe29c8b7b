package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
)

func newPauseCommand(a *app) *cobra.Command {
	var w wish
	var hard bool
	cmd := &cobra.Command{
		Use:   "pause [BACKEND]",
		Short: "Stop writing to HAProxy's slots",
		Long: `Stop writing to the slots of a backend, or of all: for an hour, or as long as --for
says. Sources are watched on, and what they say is made up for at the end. An
instance that is restarted meanwhile is filled, unless --hard is given.`,
		Example: `  slotsync pause web --for 15m --reason "I am looking at it"
  slotsync pause
  slotsync resume`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			p, err := c.Pause(cmd.Context(), web.PauseBody{Backend: nth(args, 0), Hard: hard, WhoBody: w.body()})
			if err != nil {
				return err
			}
			if w.output == "json" {
				return printJSON(a.stdout, p)
			}
			fmt.Fprintf(a.stdout, "%s: paused until %s\n", everything(p.Backend), p.Until.UTC().Format(time.RFC3339))
			return nil
		},
	}
	cmd.Flags().StringVar(&w.duration, "for", "", "how long, as in 10m (default 1h)")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for whoever looks next")
	cmd.Flags().BoolVar(&hard, "hard", false, "do not even fill an instance that is restarted")
	outputFlag(cmd, &w.output)
	a.agentFlags(cmd)
	return cmd
}

func everything(backend string) string {
	if backend == "" {
		return "all backends"
	}
	return shown(backend)
}

func newResumeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume [BACKEND]",
		Short: "Go on writing to HAProxy's slots",
		Long:  "End the pause of a backend, or every pause. What was missed is made up for at once.",
		Example: `  slotsync resume web
  slotsync resume`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			backend := nth(args, 0)
			if err := c.Resume(cmd.Context(), backend); err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if i := slices.IndexFunc(s.Pauses, func(p agent.Pause) bool { return p.Backend == "" }); err == nil && i >= 0 {
				fmt.Fprintf(a.stdout, "%s: its own pause is over; %s\n", everything(backend), stillPaused(s.Pauses[i]))
				return nil
			}
			fmt.Fprintf(a.stdout, "%s: goes on\n", everything(backend))
			return nil
		},
	}
	a.agentFlags(cmd)
	return cmd
}
