package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// The steps that the chapters of a demoStory are made of.

func (s *story) tell(title, see string) {
	s.chapters++
	s.screen.Say(s.screen.Style.chapter(s.chapters, title, see)...)
}

// join starts n instances and has DNS name them too. How long they take to
// arrive is measured.
func (s *story) join(n int) error {
	if err := s.start(n); err != nil {
		return err
	}
	s.world.Clock.Changing(serverAddrs(s.named), time.Now())
	s.publish()
	return nil
}

// add is join for more instances than there are slots: what waits for a reload
// says nothing about how fast slotsync is.
func (s *story) add(n int) error {
	if err := s.start(n); err != nil {
		return err
	}
	s.publish()
	return nil
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

func (s *story) arrives(ctx context.Context, what string) error {
	return s.await(ctx, what, func(status api.Status) bool { return everywhere(status, serverAddrs(s.named)) })
}

// await waits until slotsync's status is as ok wants it, and says so.
func (s *story) await(ctx context.Context, what string, ok func(api.Status) bool) error {
	began := time.Now()
	if err := s.wait(ctx, what, ok); err != nil {
		return err
	}
	s.screen.Say(s.screen.Style.seen(time.Since(began), what))
	return nil
}

func (s *story) wait(ctx context.Context, what string, ok func(api.Status) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not seen within %s: %s", patience, what))
	defer cancel()
	tick := time.NewTicker(lookPace)
	defer tick.Stop()
	for !ok(s.world.Look()) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// keeps watches for a while that every HAProxy serves those who are named.
func (s *story) keeps(ctx context.Context, d time.Duration, what string) error {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(lookPace)
	defer tick.Stop()
	for {
		if !everywhere(s.world.Agent.Status(), serverAddrs(s.named)) {
			return errors.New("did not stay: " + what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			s.screen.Say(s.screen.Style.seen(d, what))
			return nil
		case <-tick.C:
		}
	}
}

func (s *story) look(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func sourceIs(state string) func(api.Status) bool {
	return func(status api.Status) bool {
		return slices.ContainsFunc(status.Sources, func(source api.SourceStatus) bool { return source.State == state })
	}
}

func held(want bool) func(api.Status) bool {
	return func(status api.Status) bool {
		return want == slices.ContainsFunc(status.Backends, func(b api.BackendStatus) bool { return b.Hold != nil })
	}
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

// full reports whether every HAProxy sends traffic to n instances.
func full(status api.Status, n int) bool {
	return !slices.ContainsFunc(status.Instances, func(i api.InstanceStatus) bool { return len(servedBy(status, i.Name)) != n })
}

// servesAll reports whether an HAProxy sends traffic to want and nowhere else.
func servesAll(status api.Status, instance string, want []netip.AddrPort) bool {
	return slices.Equal(sortedAddrs(want), servedBy(status, instance))
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
