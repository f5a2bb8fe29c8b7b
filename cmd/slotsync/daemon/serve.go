// Package daemon makes one agent of a configuration: sources, instances, reloads and the web
// server, with what systemd, signals and the locks of instances ask of a process.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/audit"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/metrics"
)

// A service is an agent at work, with all that it is reached by.
type service struct {
	load     func() (*config.Config, error)
	log      *slog.Logger
	version  string
	level    *slog.LevelVar
	doctor   func(ctx context.Context, cfg *config.Config, w Wiring) []api.Finding // see [Options.Examine]
	registry *prometheus.Registry
	metrics  *metrics.Metrics
	agent    *agent.Agent
	web      *web.Server
	tokens   atomic.Pointer[tokens]
	opened   sockets
	refused  atomic.Pointer[string] // why the configuration that was read last is not in force; nil: it is

	lock    *semaphore.Weighted // guards following; who waits for it gives up with his context
	cfg     *config.Config
	systems systems // of cfg
	locks   locks
	state   *store.Lock // nil: it is not held yet
	claims  claims
}

// Serve runs the agent until ctx is done.
func Serve(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), o Options) error {
	ctx, program, done := asProgram(ctx)
	defer done()
	if program && cfg.LockWaitAssumed {
		cfg.LockWait = programLockWait
	}
	tuneGC(o.Environment)
	s := &service{load: load, cfg: cfg, version: o.Version, level: &slog.LevelVar{}, locks: locks{}, doctor: o.Examine, lock: semaphore.NewWeighted(1)}
	s.level.Set(cfg.LogLevel)
	s.log = newLogger(o.Log, cfg.LogFormat, s.level)
	s.registry, s.metrics = NewMetrics(o.Version)
	// SIGHUP must not end the process at any moment from here on.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	defer s.giveBackLocks()
	if err := s.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // while it waited for another one
		}
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.metrics.Reloaded(true)
	s.warn(cfg)
	for _, o := range cfg.Overruled {
		s.log.Info("the configuration says something else than the environment", "variable", o.Variable, "key", o.Path)
	}
	s.log.Info("started", "version", o.Version, "instances", len(cfg.Instances), "backends", len(cfg.Backends), "listen", s.web.Addr())
	return s.run(ctx, hup)
}

// warn logs the keys of cfg that have no effect.
func (s *service) warn(cfg *config.Config) {
	for _, line := range cfg.Warnings.Lines() {
		s.log.Warn("a key of the configuration has no effect", "key", line)
	}
}

// prepare takes the locks and makes the agent and its server. Nothing is
// written to any instance yet.
func (s *service) prepare(ctx context.Context) error {
	w, err := Wire(s.cfg, nil)
	if err != nil {
		return err
	}
	s.systems = w.Systems
	if err := s.takeLocks(ctx, w); err != nil {
		return err
	}
	if err := checkDistinct(ctx, s.cfg, time.Second); err != nil {
		return err
	}
	if err := s.setTokens(s.cfg); err != nil {
		return err
	}
	s.claims.keep(s.cfg.InstanceNames())
	if s.agent, err = agent.New(s.options(s.cfg, w)); err != nil {
		return &config.UsageError{Err: err}
	}
	return nil
}

// options are what the agent is told of cfg. An instance whose process answers for
// another one, too, is refused for as long as it does.
func (s *service) options(cfg *config.Config, w Wiring) agent.Options {
	o := agentOptions(cfg, w, s.log, s.metrics)
	for i := range o.Instances {
		in := &o.Instances[i]
		in.Conn = claimed{in.Conn, in.Name, &s.claims}
	}
	return o
}

// tokens are those that requests are checked against; nil for none.
type tokens struct{ all, read *longpoll.TokenFile }

// setTokens makes the token files of cfg those that requests are checked against.
func (s *service) setTokens(cfg *config.Config) (err error) {
	t := &tokens{}
	if t.all, err = openToken(cfg.HTTP.TokenFile); err == nil {
		t.read, err = openToken(cfg.HTTP.ReadTokenFile)
	}
	if err != nil {
		return config.Usagef("http: %w", err)
	}
	s.tokens.Store(t)
	return nil
}

func openToken(path string) (*longpoll.TokenFile, error) {
	if path == "" {
		return nil, nil
	}
	return longpoll.NewTokenFile(path)
}

func (s *service) bearer() string { return tokenOf(s.tokens.Load().all) }

func (s *service) readBearer() string { return tokenOf(s.tokens.Load().read) }

func tokenOf(file *longpoll.TokenFile) string {
	if file == nil {
		return ""
	}
	return file.Token()
}

// listen opens the listeners. A unix socket that nobody asked for by name is
// done without where it cannot be had.
func (s *service) listen() (err error) {
	if s.opened, err = openedBySystemd(); err != nil {
		return err
	}
	h := s.opened.instead(s.cfg.HTTP, s.log)
	err = s.bind(h)
	if err != nil && h.SocketIsDefault && h.Listen != "" && !usable(filepath.Dir(h.Socket)) {
		s.log.Warn("no unix socket for commands: they use http.listen", "socket", h.Socket, "err", err)
		h.Socket = ""
		err = s.bind(h)
	}
	if err != nil {
		return fmt.Errorf("%w (see http.listen and http.socket)", err)
	}
	return nil
}

func (s *service) bind(h config.HTTP) (err error) {
	uid, gid := s.cfg.SocketOwner()
	s.web, err = web.New(web.Options{
		Agent: described{s.agent, s}, Metrics: metrics.Handler(s.registry), Reload: s.reload, Examine: s.examine, Audit: s.auditTo(h.Audit),
		TCP: s.opened.tcp, Unix: s.opened.unix, Listen: h.Listen, Socket: h.Socket, SocketMode: h.SocketMode, SocketGroup: h.SocketGroup, SocketUID: uid, SocketGID: gid,
		Options: auth.Options{
			Hosts: h.Hosts, Token: s.bearer, ReadToken: s.readBearer, Loopback: h.Loopback, MaxFor: h.MaxFor, Config: h.WebConfigFile, Log: s.log,
		},
	})
	if err != nil {
		return &config.UsageError{Err: err}
	}
	if err := s.web.Listen(); err != nil {
		return err
	}
	noteSocket(h.Socket, s.cfg.FolderPolicy)
	return nil
}

// auditTo returns what adds to the audit file at path; nil for no file.
func (s *service) auditTo(path string) func(audit.Entry) error {
	if path == "" {
		return nil
	}
	file := audit.New(path, s.cfg.FolderPolicy)
	return func(e audit.Entry) error {
		err := file.Add(e)
		if err != nil {
			s.metrics.AuditWriteFailed()
			s.log.Error("a change is not in the audit file", "file", path, "who", e.Who, "method", e.Method, "path", e.Path, "status", e.Status, "err", err)
		}
		return err
	}
}

// examine asks what may go wrong with the configuration that is in force, over connections of
// its own.
func (s *service) examine(ctx context.Context) ([]api.Finding, error) {
	if s.doctor == nil {
		return nil, fmt.Errorf("%w: this agent has no doctor", api.ErrBadRequest)
	}
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("the configuration is being read: %w", err)
	}
	cfg := s.cfg
	s.lock.Release(1)
	w, err := Wire(cfg, nil)
	if err != nil {
		return nil, err
	}
	defer w.Systems.closeBut(nil)
	return s.doctor(ctx, cfg, w), nil
}

// A described agent says besides which release it is, and why the configuration that was read
// last is refused.
type described struct {
	*agent.Agent
	s *service
}

// Status is what the agent knows now.
func (d described) Status() api.Status { return d.describe(d.Agent.Status()) }

// Sync compares every instance now, and returns the status after it.
func (d described) Sync(ctx context.Context) (api.Status, error) {
	status, err := d.Agent.Sync(ctx)
	return d.describe(status), err
}

func (d described) describe(status api.Status) api.Status {
	status.Version = d.s.version
	if refused := d.s.refused.Load(); refused != nil {
		status.ConfigRefused = *refused
	}
	return status
}

// usable reports whether files can be made in dir, or dir itself.
func usable(dir string) bool {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	const writable = 2 // W_OK of access(2)
	return syscall.Access(dir, writable) == nil
}
