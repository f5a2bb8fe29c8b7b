package daemon

import (
	"context"
	"io"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// WarnMisspelt logs the variables that were perhaps meant for slotsync.
func WarnMisspelt(cfg *config.Config, o Options) {
	log := newLogger(o.Log, cfg.LogFormat, cfg.LogLevel)
	for _, m := range o.Environment.Misspelt() {
		log.Warn("a variable of the environment is not one of slotsync's: it has no effect", "variable", m.Name, "did_you_mean", m.Meant)
	}
}

// Once makes one round and returns how everything is after it.
func Once(ctx context.Context, cfg *config.Config, o Options) (api.Status, error) {
	w, err := Wire(cfg, nil)
	if err != nil {
		return api.Status{}, err
	}
	held := locks{}
	defer held.close()
	if err := held.take(ctx, cfg, w, 0); err != nil {
		return api.Status{}, err
	}
	state, err := store.TakeLock(ctx, cfg.FolderPolicy, cfg.StateDir, 0)
	if err != nil {
		return api.Status{}, err
	}
	defer state.Release()
	if err := checkDistinct(ctx, cfg, time.Second); err != nil {
		return api.Status{}, err
	}
	ag, err := NewAgent(cfg, w, o)
	if err != nil {
		return api.Status{}, err
	}
	return ag.Once(ctx)
}

// NewAgent makes an agent that nobody asks for metrics, over the clients of w.
func NewAgent(cfg *config.Config, w Wiring, o Options) (*agent.Agent, error) {
	_, m := NewMetrics(o.Version)
	ag, err := agent.New(agentOptions(cfg, w, newLogger(o.Log, cfg.LogFormat, cfg.LogLevel), m))
	if err != nil {
		return nil, &config.UsageError{Err: err}
	}
	return ag, nil
}

// Options are what a process knows besides its configuration.
type Options struct {
	Log         io.Writer
	Version     string
	Environment config.Environment
	// Examine says what may go wrong with cfg, whose clients are in w; nil for nothing.
	Examine func(ctx context.Context, cfg *config.Config, w Wiring) []api.Finding
}

// Plan reads sources and instances once and returns what a round would change.
func Plan(ctx context.Context, cfg *config.Config, o Options) (api.Plan, error) {
	w, err := Wire(cfg, nil)
	if err != nil {
		return api.Plan{}, err
	}
	ag, err := NewAgent(cfg, w, o)
	if err != nil {
		return api.Plan{}, err
	}
	return ag.Plan(ctx)
}
