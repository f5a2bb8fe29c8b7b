package remote

import (
	"context"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

const (
	// watchPace is how often [Watch] asks if nothing changes, watchLeast how long it waits at
	// least.
	watchPace, watchLeast = time.Second, 100 * time.Millisecond
	// listenPace is how often an agent is asked for events that gives none.
	listenPace = 5 * time.Second
)

// Watch asks for the status until ctx is done, whenever something changes and every second,
// and gives show each answer or why there is none. It ends with show's first error.
func Watch(ctx context.Context, c *client.Client, show func(api.Status, error) error) error {
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
		if err := show(status, err); err != nil {
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

// listen fills news when something has changed, until ctx is done. Without events the status
// is still asked for every second.
func listen(ctx context.Context, c *client.Client, news chan<- struct{}) {
	_ = c.Follow(ctx, 0, listenPace, func(api.Event) error { // it shows nothing that can fail
		select {
		case news <- struct{}{}:
		default: // it is known already
		}
		return nil
	}, nil)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
