package daemon

import (
	"context"
	"slices"
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

// checkDistinct waits up to limit for all instances to answer, and fails if two of
// them are one process.
func checkDistinct(ctx context.Context, cfg *config.Config, limit time.Duration) error {
	if len(cfg.Instances) < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(limit, cfg.Timeout))
	defer cancel()
	answers := identify(ctx, cfg)
	var seen []identity
	for range cfg.Instances {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			if i := slices.IndexFunc(seen, func(other identity) bool { return other.process.Same(a.process) }); i >= 0 {
				return &config.UsageError{Err: config.SameProcess(seen[i].instance, a.instance, a.process)}
			}
			seen = append(seen, a)
		}
	}
	return nil
}
