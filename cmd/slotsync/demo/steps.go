package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
)

// The steps that the chapters of a demoStory are made of.

func (s *story) tell(title, see string) {
	s.chapters++
	s.screen.Say(s.screen.Style.chapter(s.chapters, title, see)...)
}

// A step is a part of a chapter.
type step func(context.Context) error

// inTurn is steps one after another, until one goes wrong.
func inTurn(steps ...step) step {
	return func(ctx context.Context) error {
		for _, do := range steps {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// join starts n instances and has DNS name them too. How long they take to
// arrive is measured.
func (s *story) join(n int) step {
	return func(context.Context) error {
		if err := s.start(n); err != nil {
			return err
		}
		s.world.Clock.Changing(serverAddrs(s.named), time.Now())
		s.publish()
		return nil
	}
}

func (s *story) start(n int) error {
	fresh, err := s.world.Fleet.Start(n)
	if err != nil {
		return err
	}
	s.named = slices.Concat(s.named, fresh)
	return nil
}

// leave takes gone out of the DNS; they stop after a while.
func (s *story) leave(gone []*server, after time.Duration) {
	s.named = slices.DeleteFunc(slices.Clone(s.named), func(d *server) bool { return slices.Contains(gone, d) })
	if len(gone) == 1 {
		s.world.Clock.Changing(serverAddrs(s.named), time.Now())
	}
	s.publish()
	s.world.Fleet.LeaveAfter(after, gone)
}

func (s *story) publish() {
	s.world.Publish(s.named)
	s.says(fmt.Sprintf("DNS names %d", len(s.named)))
}

func (s *story) says(dns string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dns = dns
}

func (s *story) die(name string, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead[name] = dead
}

// served reports whether every HAProxy serves those who are named, and nobody else.
func (s *story) served(status api.Status) bool { return everywhere(status, serverAddrs(s.named)) }

func (s *story) requests(t *traffic.Traffic) step {
	return func(ctx context.Context) error { t.Start(ctx); return nil }
}

// await waits until slotsync's status is as ok wants it, and says so.
func (s *story) await(what string, ok func(api.Status) bool) step {
	return func(ctx context.Context) error {
		began := time.Now()
		if err := s.wait(what, ok)(ctx); err != nil {
			return err
		}
		s.screen.Say(s.screen.Style.seen(time.Since(began), what))
		return nil
	}
}

func (s *story) wait(what string, ok func(api.Status) bool) step {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not seen within %s: %s", patience, what))
		defer cancel()
		for !ok(s.world.Look()) {
			if err := s.look(lookPace)(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// keeps watches for a while that every HAProxy serves those who are named.
func (s *story) keeps(d time.Duration, what string) step {
	return func(ctx context.Context) error {
		for began := time.Now(); time.Since(began) < d; {
			if !s.served(s.world.Agent.Status()) {
				return errors.New("did not stay: " + what)
			}
			if err := s.look(lookPace)(ctx); err != nil {
				return err
			}
		}
		s.screen.Say(s.screen.Style.seen(d, what))
		return nil
	}
}

// look leaves everything as it is for a while.
func (s *story) look(d time.Duration) step {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(d):
			return nil
		}
	}
}

func sourceIs(state string) func(api.Status) bool {
	return func(status api.Status) bool {
		return slices.ContainsFunc(status.Sources, func(source api.SourceStatus) bool { return source.State == state })
	}
}

func held(status api.Status) bool {
	return slices.ContainsFunc(status.Backends, func(b api.BackendStatus) bool { return b.Hold != nil })
}

// restarted returns how many restarts of an instance slotsync has seen.
func restarted(status api.Status, instance string) int {
	for _, i := range status.Instances {
		if i.Name == instance {
			return i.Restarts
		}
	}
	return 0
}

// outside returns how many endpoints have no slot.
func outside(status api.Status) (n int) {
	for _, b := range status.Backends {
		n += len(b.Overflow)
	}
	return n
}

// full reports whether every HAProxy sends traffic to all of its slots.
func full(status api.Status) bool {
	return !slices.ContainsFunc(status.Instances, func(i api.InstanceStatus) bool { return len(servedBy(status, i.Name)) != slotCount })
}

// reloadError is what slotsync says about its last reload of an HAProxy, nil if
// it is content.
func reloadError(status api.Status, name string) error {
	for _, r := range status.Reloads {
		if r.Name == name && r.Error != "" {
			return errors.New(r.Error)
		}
	}
	return nil
}
