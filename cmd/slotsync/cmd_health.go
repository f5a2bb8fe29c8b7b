package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// healthTime bounds the question: who probes wants an answer, and starts another one soon.
const healthTime = 5 * time.Second

// maxHealthLines bounds what a probe says, which is kept by whoever started it.
const maxHealthLines = 5

func newHealthCommand(a *app) *cobra.Command {
	var live, strict bool
	cmd := a.agentCommand(cobra.Command{
		Use:   "health",
		Short: "Say whether the agent is ready, for probes",
		Long: `Say by the exit code whether the running agent is ready: 0 if it is, also where something
is degraded (an instance that is behind, a source that fails, something held), which is then
printed; 1 if it is not, or does not answer within 5 seconds.`,
		Example: `  slotsync health
  slotsync health --live
  slotsync health --strict`,
		Args: noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		if live && strict {
			return usageErrorf("--live and --strict ask different questions: name one of them")
		}
		c.Slow = nil // there is an end to it soon
		ctx, cancel := context.WithTimeout(ctx, healthTime)
		defer cancel()
		if live {
			return a.live(ctx, c)
		}
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return a.healthOf(status, strict)
	})
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether its loop runs")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 1 if something is degraded, too")
	return cmd
}

// live asks whether the loop runs.
func (a *app) live(ctx context.Context, c *client.Client) error {
	if err := c.Live(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, api.HealthyText)
	return err
}

// healthOf prints what a probe is to know of s. The error says that it failed.
func (a *app) healthOf(s api.Status, strict bool) error {
	if !s.Ready {
		return errors.New("not ready: " + textfmt.List(s.NotReady, maxHealthLines))
	}
	degraded := output.Degraded(s)
	if len(degraded) == 0 {
		_, err := fmt.Fprintln(a.stdout, api.ReadyText)
		return err
	}
	text := "degraded: " + textfmt.List(degraded, maxHealthLines)
	if strict {
		return errors.New(text)
	}
	_, err := fmt.Fprintln(a.stdout, api.ReadyText+", "+text)
	return err
}
