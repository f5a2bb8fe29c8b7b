package daemon

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// An identity is who answered on the socket of an instance.
type identity struct {
	instance string
	process  slots.Process
}

// identify asks every instance who it is, each until it says so or ctx is done, and
// sends what they say. Each is asked by a client of its own, since a HAProxy
// that hangs keeps one waiting for as long as it hangs.
func identify(ctx context.Context, cfg *config.Config) <-chan identity {
	answers := make(chan identity, len(cfg.Instances))
	for _, in := range cfg.Instances {
		client, err := haproxy.New(haproxy.Options{Socket: in.Socket, Timeout: cfg.Timeout})
		if err != nil {
			continue // wire has said so
		}
		go func() {
			for ctx.Err() == nil {
				if p, err := client.Info(ctx); err == nil {
					answers <- identity{in.Name, p}
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}()
	}
	return answers
}

// A duplicates collects answers, and finds two that come from one process.
type duplicates struct{ seen []identity }

func (r *duplicates) add(a identity) error {
	for _, other := range r.seen {
		if other.process.Same(a.process) && other.instance != a.instance {
			return &config.UsageError{Err: config.SameProcess(other.instance, a.instance, a.process)}
		}
	}
	r.seen = append(r.seen, a)
	return nil
}

// checkDistinct waits up to limit for all instances to answer, and fails if two of
// them are one process.
func checkDistinct(ctx context.Context, cfg *config.Config, limit time.Duration) error {
	if len(cfg.Instances) < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(limit, cfg.Timeout))
	defer cancel()
	return (&duplicates{}).watch(ctx, identify(ctx, cfg), len(cfg.Instances))
}

// watch adds n answers, or as many as come before ctx is done.
func (r *duplicates) watch(ctx context.Context, answers <-chan identity, n int) error {
	for len(r.seen) < n {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			if err := r.add(a); err != nil {
				return err
			}
		}
	}
	return nil
}
