package remote

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
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

// maxBackendsNamed bounds the backends that are named where one is not known.
const maxBackendsNamed = 20

// OfBackend returns what s says of one backend: its sources, the instances that serve it or
// have not answered yet, the reloads of those, and what operators asked of it.
func OfBackend(s api.Status, name string) (api.Status, error) {
	var names []string
	for _, b := range s.Backends {
		names = append(names, b.Name)
	}
	i := slices.Index(names, name)
	switch {
	case i < 0 && len(names) == 0:
		return s, fmt.Errorf("the agent is starting, and has no backend yet: %s", textfmt.List(s.NotReady, 3))
	case i < 0:
		return s, fmt.Errorf("there is no backend %q%s (there are: %s)", textfmt.Clip(name), textfmt.DidYouMean(name, names), textfmt.List(names, maxBackendsNamed))
	}
	whole := s
	s.Backends = s.Backends[i : i+1]
	s.Instances = only(s.Instances, func(in api.InstanceStatus) bool { return whole.MayServe(in.Name, name) })
	s.Sources = only(s.Sources, func(x api.SourceStatus) bool { return x.Backend == name })
	s.Overrides = only(s.Overrides, func(o api.Override) bool { return o.Backend == name || o.Backend == "" })
	s.Pauses = only(s.Pauses, func(p api.Pause) bool { return p.Backend == name || p.Backend == "" })
	s.Reloads = only(s.Reloads, func(r api.ReloadStatus) bool {
		return slices.ContainsFunc(r.Instances, func(in string) bool { return whole.MayServe(in, name) })
	})
	return s, nil
}

// only returns those of list that are wanted, never nil.
func only[T any](list []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(append([]T{}, list...), func(x T) bool { return !wanted(x) })
}
