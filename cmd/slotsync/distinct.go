package main

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// An answer is who answered on the socket of an instance.
type answer struct {
	instance string
	process  slots.Process
}

// who asks every instance who it is, each until it says so or ctx is done, and
// sends what they say. Each is asked by a client of its own, since a HAProxy
// that hangs keeps one waiting for as long as it hangs.
func who(ctx context.Context, cfg *config.Config) <-chan answer {
	answers := make(chan answer, len(cfg.Instances))
	for _, in := range cfg.Instances {
		client, err := haproxy.New(haproxy.Options{Socket: in.Socket, Timeout: cfg.Timeout})
		if err != nil {
			continue // wire has said so
		}
		go func() {
			for ctx.Err() == nil {
				if p, err := client.Info(ctx); err == nil {
					answers <- answer{in.Name, p}
					return
				}
				pause(ctx, time.Second)
			}
		}()
	}
	return answers
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A roll collects answers, and finds two that come from one process.
type roll struct{ seen []answer }

func (r *roll) add(a answer) error {
	for _, other := range r.seen {
		if other.process.Same(a.process) && other.instance != a.instance {
			return &config.UsageError{Err: sameProcess(other.instance, a.instance, a.process)}
		}
	}
	r.seen = append(r.seen, a)
	return nil
}

// distinct waits up to limit for all instances to answer, and fails if two of
// them are one process.
func distinct(ctx context.Context, cfg *config.Config, limit time.Duration) error {
	if len(cfg.Instances) < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(limit, cfg.Timeout))
	defer cancel()
	return (&roll{}).watch(ctx, who(ctx, cfg), len(cfg.Instances))
}

// watch adds n answers, or as many as come before ctx is done.
func (r *roll) watch(ctx context.Context, answers <-chan answer, n int) error {
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
