package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// reload reads the configuration again and puts it in force, whole or not at
// all. Its error says why the old one stays. With drainRemoved, slots that the
// new one does not serve are taken out of service first.
func (s *service) reload(ctx context.Context, drainRemoved bool) error {
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("another change of the configuration is under way: %w", err)
	}
	defer s.lock.Release(1)
	notify(reloading())
	err := s.replace(ctx, drainRemoved)
	s.metrics.Reloaded(err == nil)
	if err != nil {
		why := textfmt.OneLine(err.Error())
		s.refused.Store(&why)
		s.log.Error("the configuration is refused, the old one stays in force", "err", why)
		notify("READY=1\nSTATUS=" + summarize(s.status()))
		return fmt.Errorf("the old configuration stays in force: %w", err)
	}
	s.refused.Store(nil)
	s.warn(s.cfg)
	s.log.Info("the configuration is read again", "instances", len(s.cfg.Instances), "backends", len(s.cfg.Backends))
	notify("READY=1\nSTATUS=the configuration is read again")
	return nil
}

// replace does the work of reload. What it started is undone if it fails.
func (s *service) replace(ctx context.Context, drainRemoved bool) error {
	next, err := s.load()
	if err != nil {
		return err
	}
	if fixed := needRestart(s.cfg, next); len(fixed) > 0 {
		return fmt.Errorf("%s cannot change while slotsync runs: restart it", strings.Join(fixed, ", "))
	}
	if err := next.PrepareFolders(); err != nil {
		return err
	}
	w, err := Wire(next, s.systems)
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, next, w, drainRemoved); err != nil {
		w.Systems.closeBut(s.systems)
		return err
	}
	s.systems.closeBut(w.Systems)
	w.Systems.reread()
	s.cfg, s.systems = next, w.Systems
	s.level.Set(next.LogLevel)
	_ = s.locks.keep(next) // closing a lock cannot fail in a way that matters
	return nil
}

// adopt has the agent go on with next. If it fails, nothing has changed.
func (s *service) adopt(ctx context.Context, next *config.Config, w Wiring, drainRemoved bool) error {
	if err := checkDistinct(ctx, next, time.Second); err != nil {
		return err
	}
	before := s.tokens.Load()
	if err := s.setTokens(next); err != nil {
		return err
	}
	err := s.locks.take(ctx, next, w, 0)
	if err == nil {
		options := s.options(next, w)
		options.DrainRemoved = drainRemoved
		s.claims.keep(next.InstanceNames())
		err = s.agent.Reconfigure(ctx, options)
	}
	if err != nil {
		s.claims.keep(s.cfg.InstanceNames())
		s.tokens.Store(before)
		_ = s.locks.keep(s.cfg) // closing a lock cannot fail in a way that matters
	}
	return err
}

// needRestart names the keys that differ and are used at the start alone.
func needRestart(old, next *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{"state_dir", old.StateDir != next.StateDir},
		{"slot_map", old.SlotMap != next.SlotMap},
		{"http.listen", old.HTTP.Listen != next.HTTP.Listen},
		{"http.socket", old.HTTP.Socket != next.HTTP.Socket},
		{"http.socket_mode", old.HTTP.SocketMode != next.HTTP.SocketMode},
		{"http.socket_group", old.HTTP.SocketGroup != next.HTTP.SocketGroup},
		{"http.web_config_file", old.HTTP.WebConfigFile != next.HTTP.WebConfigFile},
		{"http.audit", old.HTTP.Audit != next.HTTP.Audit},
		{"http.loopback", old.HTTP.Loopback != next.HTTP.Loopback},
		{"http.max_for", old.HTTP.MaxFor != next.HTTP.MaxFor},
		{"http.hosts", !slices.Equal(old.HTTP.Hosts, next.HTTP.Hosts)},
		{"log.format", old.LogFormat != next.LogFormat},
	} {
		if k.differs {
			keys = append(keys, k.name)
		}
	}
	return keys
}
