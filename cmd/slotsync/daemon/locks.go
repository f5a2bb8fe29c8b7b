package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// takeLocks makes this process the only one that writes to the instances, and the only one that keeps
// its state where it does.
func (s *service) takeLocks(ctx context.Context, w Wiring) error {
	if err := s.locks.take(ctx, s.cfg, w, s.cfg.LockWait); err != nil {
		return fmt.Errorf("%w: stop that agent first, as by systemctl stop slotsync; to make one round by it, run slotsync sync", err)
	}
	for i, client := range w.Clients {
		if doubt, squatted := client.LockDoubt(); squatted {
			s.log.Warn("nothing keeps another slotsync from writing to HAProxy", "instance", s.cfg.Instances[i].Name, "err", doubt)
		}
	}
	var err error
	s.state, err = store.TakeLock(ctx, s.cfg.FolderPolicy, s.cfg.StateDir, s.cfg.LockWait)
	return err
}

// giveBackLocks is the last that an agent does.
func (s *service) giveBackLocks() {
	_ = s.locks.close() // which cannot fail in a way that matters
	if s.state != nil {
		s.state.Release()
	}
}

// locks are the writer locks that a process holds, by the real name of the
// socket.
type locks map[string]*haproxy.Lock

// take adds the locks for all instances of cfg that are not held yet, and has the clients
// of w look after theirs. One that somebody else holds is waited for. If one
// cannot be had, those that it added are given back.
func (l locks) take(ctx context.Context, cfg *config.Config, w Wiring, wait time.Duration) error {
	var added []string
	for i, in := range cfg.Instances {
		if lock, ok := l[in.Real]; ok {
			w.Clients[i].Guard(lock)
			continue
		}
		lock, err := w.Clients[i].LockWithin(ctx, wait)
		if err != nil {
			return errors.Join(err, l.release(added))
		}
		l[in.Real] = lock
		added = append(added, in.Real)
	}
	return nil
}

// keep gives back the locks of all instances that cfg does not have.
func (l locks) keep(cfg *config.Config) error {
	var gone []string
	for name := range l {
		if !slices.ContainsFunc(cfg.Instances, func(in config.Instance) bool { return in.Real == name }) {
			gone = append(gone, name)
		}
	}
	return l.release(gone)
}

func (l locks) close() error { return l.release(slices.Collect(maps.Keys(l))) }

func (l locks) release(names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, l[name].Close())
		delete(l, name)
	}
	return errors.Join(errs...)
}
