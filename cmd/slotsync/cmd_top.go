package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

const (
	// topPace is how long a picture stands before the next is asked for.
	topPace = time.Second
	// topPatience bounds one look at everything, topChange one change.
	topPatience, topChange = 3 * time.Second, 30 * time.Second
)

func newTopCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch instances, servers, sources and events, and act on them",
		Long: `Watch what the agent and every HAProxy show, once a second: instances, servers with
their counters, sources and holds, and events. Servers can be drained, stopped, started
and weighed from there, and holds accepted, each after a question; ? lists the keys. NO_COLOR is obeyed.`,
		Example: `  slotsync top
  slotsync top --agent http://127.0.0.1:9750`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !textfmt.IsTerminal(a.stdout) {
				return usageErrorf("top needs a terminal: slotsync status --watch writes to anything")
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			c.Slow = nil // it would write into the picture, which says so itself
			return a.top(cmd.Context(), c)
		},
	}
	a.agentFlags(cmd)
	return cmd
}

// top shows pictures until somebody quits or ctx is done.
func (a *app) top(ctx context.Context, c *web.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	program := tea.NewProgram(newTopModel(ctx, topClient{c}, a.env["NO_COLOR"] == ""), tea.WithContext(ctx), tea.WithInput(os.Stdin), tea.WithOutput(a.stdout))
	var group sync.WaitGroup
	group.Go(func() { passEvents(ctx, c, func(e agent.Event) { program.Send(topEvent(e)) }) })
	_, err := program.Run()
	cancel()
	group.Wait()
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// passEvents passes on what the agent still knows to have changed and what changes,
// until ctx is done, and asks an agent that is gone again.
func passEvents(ctx context.Context, c *web.Client, pass func(agent.Event)) {
	const oldest = 1 // of all that are kept; that there were others before is no news
	last := uint64(oldest)
	for ctx.Err() == nil {
		from := last
		for e, err := range c.Events(ctx, from) {
			if err != nil {
				break
			}
			last = max(last, e.ID)
			if e.Kind != agent.EventGap || from != oldest {
				pass(e)
			}
		}
		pause(ctx, topPace)
	}
}

// A topClient asks a running agent.
type topClient struct{ *web.Client }

// look asks for the status and for the counters of every instance that is up. One that
// does not say them in time is left out.
func (c topClient) look(ctx context.Context) (topLook, error) {
	ctx, cancel := context.WithTimeout(ctx, topPatience)
	defer cancel()
	status, err := c.Status(ctx)
	if err != nil {
		return topLook{}, err
	}
	seen := topLook{status: status, stats: make([]agent.Dump, len(status.Instances))}
	var group sync.WaitGroup
	for i, in := range status.Instances {
		if !in.Up {
			continue
		}
		group.Go(func() { seen.stats[i], _ = c.Dump(ctx, in.Name, "stat") })
	}
	group.Wait()
	return seen, nil
}

// do makes the change that act is.
func (c topClient) do(ctx context.Context, act topAct) error {
	ctx, cancel := context.WithTimeout(ctx, topChange)
	defer cancel()
	who := web.WhoBody{By: whoami(), Reason: "slotsync top"}
	weight := act.weight
	if weight == "source" {
		weight = ""
	}
	state, weighed := web.StateBody{State: act.what, WhoBody: who}, web.WeightBody{Weight: web.Weight(weight), WhoBody: who}
	var err error
	switch everywhere := act.backend == ""; {
	case act.what == "pause":
		_, err = c.Pause(ctx, web.PauseBody{Backend: act.backend, WhoBody: who})
	case act.what == "resume":
		err = c.Resume(ctx, act.backend)
	case act.what == "accept":
		_, err = c.Accept(ctx, act.backend, web.AcceptBody{ID: act.id, By: who.By})
	case everywhere:
		err = c.doAddress(ctx, act, state, weighed)
	case act.what == "weight":
		_, err = c.SetWeight(ctx, act.backend, act.server, weighed)
	default:
		_, err = c.SetState(ctx, act.backend, act.server, state)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return nil
}

// doAddress does it to an address on all backends.
func (c topClient) doAddress(ctx context.Context, act topAct, state web.StateBody, weight web.WeightBody) error {
	ip, err := netip.ParseAddr(act.server)
	if err != nil {
		return err
	}
	if act.what == "weight" {
		_, err = c.SetAddressWeight(ctx, ip, weight)
	} else {
		_, err = c.SetAddressState(ctx, ip, state)
	}
	return err
}
