package daemon

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// This file has a service work, and end.

// stopTime is how long everything may take to end after a signal.
const stopTime = 4 * time.Second

// run works until ctx is done or a part of it fails. Whatever does not end in
// time is left behind: the slots are HAProxy's, and stay as they are.
func (s *service) run(ctx context.Context, hup <-chan os.Signal) error {
	group, working := errgroup.WithContext(ctx)
	var under sync.Map // the names of what has begun and not ended
	for name, part := range map[string]func(context.Context) error{
		"the agent": s.agent.Run, "the web server": s.web.Serve, "systemd's status": s.tellSystemd, "what gives memory back": s.giveBack,
		"reading the configuration": func(ctx context.Context) error { return s.reloadOn(ctx, hup) },
	} {
		under.Store(name, nil)
		group.Go(func() error {
			defer under.Delete(name)
			return part(working)
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	<-working.Done()
	notify("STOPPING=1")
	return s.end(ctx, context.Cause(working), ended, &under)
}

// end waits for all parts, of which one has failed unless ctx is done. A part that is
// held up, as by a slow disk, is no failure of who asked for the end. underWay has the names of those.
func (s *service) end(ctx context.Context, cause error, ended <-chan error, underWay *sync.Map) error {
	asked := ctx.Err() != nil
	if asked {
		s.log.Info("stopping: every slot stays as it is")
	}
	select {
	case err := <-ended:
		if asked && (err == nil || errors.Is(err, context.Canceled)) {
			return nil
		}
		return err
	case <-time.After(stopTime):
		s.log.Warn("some work did not end in time, and is left behind; HAProxy is unaffected", "under_way", strings.Join(names(underWay), ", "))
		if asked {
			return nil
		}
		return cause
	}
}

func (s *service) reloadOn(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			_ = s.reload(ctx, false) // it is logged
		}
	}
}

// names lists what is in a set of names, in order.
func names(set *sync.Map) []string {
	var list []string
	set.Range(func(name, _ any) bool { list = append(list, name.(string)); return true })
	slices.Sort(list)
	return list
}
