// Package top is the terminal view of a running agent: instances, servers, sources and
// events, once a second, and what can be done to them.
//
// Text is typed into an input of bubbles. Its table has no colour for a line and cuts what is
// to be read to its end, and its help has one text for a key where a line of keys and a page
// about them need two: both are written here.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/slots"
)

const (
	// pace is how long a picture stands before the next is asked for.
	pace = time.Second
	// patience bounds one look at everything, changeLimit one change.
	patience, changeLimit = 3 * time.Second, 30 * time.Second
)

// Options are where the view is shown, and for whom.
type Options struct {
	Out    io.Writer
	Colour bool
	By     string // who asks for changes
}

// Run shows pictures until somebody quits or ctx is done.
func Run(ctx context.Context, c *client.Client, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	program := tea.NewProgram(newModel(ctx, apiClient{c, o.By}, o.Colour), tea.WithContext(ctx), tea.WithInput(os.Stdin), tea.WithOutput(o.Out))
	var group sync.WaitGroup
	group.Go(func() {
		const oldest = 1 // of all that are kept; that there were others before is no news
		seen := false
		_ = c.Follow(ctx, oldest, pace, func(e api.Event) error { // it shows nothing that can fail
			if e.Kind != api.EventGap || seen {
				program.Send(eventMsg(e))
			}
			seen = true
			return nil
		}, nil)
	})
	_, err := program.Run()
	cancel()
	group.Wait()
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// An apiClient asks a running agent.
type apiClient struct {
	*client.Client
	by string // who asks
}

// look asks for the status and for the counters of every instance that is up. One that
// does not say them in time is left out.
func (c apiClient) look(ctx context.Context) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := c.Status(ctx)
	if err != nil {
		return snapshot{}, err
	}
	seen := snapshot{status: status, stats: make([]slots.Dump, len(status.Instances)), unsaid: make([]error, len(status.Instances))}
	var group sync.WaitGroup
	for i, in := range status.Instances {
		if !in.Up {
			continue
		}
		group.Go(func() { seen.stats[i], seen.unsaid[i] = c.Dump(ctx, in.Name, "stat") })
	}
	group.Wait()
	return seen, nil
}

func (c apiClient) do(ctx context.Context, act action) error {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	who := api.WhoBody{By: c.by, Reason: "slotsync top"}
	weight := act.weight
	if weight == "source" {
		weight = ""
	}
	state, weighed := api.StateBody{State: act.what, WhoBody: who}, api.WeightBody{Weight: api.Weight(weight), WhoBody: who}
	var err error
	switch everywhere := act.backend == ""; {
	case act.what == "pause":
		_, err = c.Pause(ctx, api.PauseBody{Backend: act.backend, WhoBody: who})
	case act.what == "resume":
		err = c.Resume(ctx, act.backend)
	case act.what == "accept":
		_, err = c.Accept(ctx, act.backend, api.AcceptBody{ID: act.id, By: who.By})
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

func (c apiClient) doAddress(ctx context.Context, act action, state api.StateBody, weight api.WeightBody) error {
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
