package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// reload reads the configuration again and puts it in force, whole or not at
// all. Its error says why the old one stays. With drainRemoved, slots that the
// new one does not serve are taken out of service first.
func (s *service) reload(ctx context.Context, drainRemoved bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	notify(reloading())
	err := s.replace(ctx, drainRemoved)
	s.metrics.Reloaded(err == nil)
	if err != nil {
		s.log.Error("the configuration is refused, the old one stays in force", "err", textfmt.OneLine(err.Error()))
		notify("READY=1\nSTATUS=the configuration is refused: " + textfmt.OneLine(err.Error()))
		return fmt.Errorf("the old configuration stays in force: %w", err)
	}
	s.warn(s.cfg)
	s.log.Info("the configuration is read again", "instances", len(s.cfg.instances), "backends", len(s.cfg.backends))
	notify("READY=1")
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
	if err := next.refuseUnsafe(); err != nil {
		return err
	}
	w, err := newWiring(next, s.systems)
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, next, w, drainRemoved); err != nil {
		w.systems.closeBut(s.systems)
		return err
	}
	s.systems.closeBut(w.systems)
	w.systems.reread()
	s.cfg, s.systems = next, w.systems
	s.level.Set(next.logLevel)
	return s.locks.keep(next)
}

// adopt has the agent go on with next. If it fails, nothing has changed.
func (s *service) adopt(ctx context.Context, next *config, w wiring, drainRemoved bool) error {
	if err := distinct(ctx, next, time.Second); err != nil {
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
		s.claims.keep(next.instanceNames())
		err = s.agent.Reconfigure(ctx, options)
	}
	if err != nil {
		s.claims.keep(s.cfg.instanceNames())
		s.tokens.Store(before)
		_ = s.locks.keep(s.cfg) // closing a lock cannot fail in a way that matters
	}
	return err
}

// needRestart names the keys that differ and are used at the start alone.
func needRestart(old, next *config) []string {
	var keys []string
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{"state_dir", old.stateDir != next.stateDir},
		{"http.listen", old.http.listen != next.http.listen},
		{"http.socket", old.http.socket != next.http.socket},
		{"http.socket_mode", old.http.socketMode != next.http.socketMode},
		{"http.socket_group", old.http.socketGroup != next.http.socketGroup},
		{"http.web_config_file", old.http.webConfigFile != next.http.webConfigFile},
		{"http.loopback", old.http.loopback != next.http.loopback},
		{"http.max_for", old.http.maxFor != next.http.maxFor},
		{"http.hosts", !slices.Equal(old.http.hosts, next.http.hosts)},
		{"log.format", old.logFormat != next.logFormat},
	} {
		if k.differs {
			keys = append(keys, k.name)
		}
	}
	return keys
}
