package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

const (
	// watchPace is how often --watch asks if nothing changes, watchLeast how long it
	// waits at least.
	watchPace, watchLeast = time.Second, 100 * time.Millisecond
	// listenPace is how often an agent is asked for events that gives none.
	listenPace = 5 * time.Second
)

func newStatusCommand(a *app) *cobra.Command {
	var format string
	var watch, all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show instances, sources, backends and slots",
		Long: `Show what the running agent knows: how each HAProxy and each source is doing,
what the guard holds, and which endpoint sits in which slot. Exit 1: the agent is not ready.`,
		Example: `  slotsync status
  slotsync status --watch
  slotsync status -o json
  slotsync status --agent http://127.0.0.1:9750`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			show := a.statusText(all)
			if format == "json" {
				show = a.statusJSON(watch)
			}
			if watch {
				return a.watch(cmd.Context(), c, show, format == "text")
			}
			status, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := show(status); err != nil {
				return err
			}
			if !status.Ready {
				return &exitError{code: exitFailed} // it says so itself
			}
			return nil
		},
	}
	outputFlag(cmd, &format)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again when it changes and every second, until interrupted")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show free slots too")
	a.agentFlags(cmd)
	return cmd
}

func (a *app) statusText(all bool) func(api.Status) error {
	style := output.Style{Colour: textfmt.IsTerminal(a.stdout) && a.env["NO_COLOR"] == "", All: all}
	return func(s api.Status) error { return style.WriteStatus(a.stdout, s) }
}

// statusJSON prints a status on one line each if there will be many.
func (a *app) statusJSON(many bool) func(api.Status) error {
	return func(s api.Status) error {
		if many {
			return output.WriteIndented(a.stdout, s, "")
		}
		return output.WriteJSON(a.stdout, s)
	}
}

// watch shows the status until ctx is done, whenever something changes and every
// second. An agent that does not answer is asked again; that is worth watching too.
func (a *app) watch(ctx context.Context, c *client.Client, show func(api.Status) error, text bool) error {
	ctx, stop := context.WithCancel(ctx)
	news := make(chan struct{}, 1)
	var reading sync.WaitGroup
	reading.Go(func() { listen(ctx, c, news) })
	defer reading.Wait()
	defer stop()
	for {
		status, err := c.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if text && textfmt.IsTerminal(a.stdout) {
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
		}
		if err != nil {
			report(a.stderr, err)
		} else if err := show(status); err != nil {
			return err
		}
		pause(ctx, watchLeast)
		select {
		case <-ctx.Done():
		case <-news:
		case <-time.After(watchPace - watchLeast):
		}
	}
}

// listen fills news when something has changed, until ctx is done. Without events
// the status is still asked for every second.
func listen(ctx context.Context, c *client.Client, news chan<- struct{}) {
	for ctx.Err() == nil {
		for _, err := range c.Events(ctx, 0) {
			if err != nil {
				break
			}
			select {
			case news <- struct{}{}:
			default: // it is known already
			}
		}
		pause(ctx, listenPace)
	}
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
