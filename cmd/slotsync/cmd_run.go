package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newRunCommand(a *app) *cobra.Command {
	var d config.Inline
	var once bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent",
		Long: `Run the agent in the foreground. It stops at SIGTERM or SIGINT and leaves every
slot as it is; SIGHUP reads the configuration again.

Scalars of the configuration can be overridden by environment: http.listen by
SLOTSYNC_HTTP_LISTEN, and so on; a name that is nearly right is warned of. Instead of a file, --socket, --backend and one
of --consul and --dns describe one backend.`,
		Example: `  slotsync run --config /etc/slotsync/slotsync.yaml
  slotsync run --socket /run/haproxy/admin.sock --backend web --consul web
  slotsync run --socket /run/haproxy/admin.sock --backend web --dns web.example.org:80
  slotsync run --once`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load, err := a.loader(d)
			if err != nil {
				return err
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			if err := cfg.CheckFolders(); err != nil {
				return err
			}
			a.warnMisspelt(cfg)
			if once {
				return a.once(cmd.Context(), cfg, "text")
			}
			return a.serve(cmd.Context(), cfg, load)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "make one round and exit: 0 if every instance is in sync then, else 1")
	inlineFlags(cmd, &d)
	return cmd
}

// warnMisspelt logs the variables that were perhaps meant for slotsync.
func (a *app) warnMisspelt(cfg *config.Config) {
	log := newLogger(a.stderr, cfg.LogFormat, cfg.LogLevel)
	for _, m := range a.env.Misspelt() {
		log.Warn("a variable is set that nobody looks up", "variable", m.Name, "did_you_mean", m.Meant)
	}
}

// loader returns what reads the configuration, now and at each reload.
func (a *app) loader(d config.Inline) (func() (*config.Config, error), error) {
	if d.Empty() {
		path := config.Find(a.configFile)
		if path == "" {
			return nil, usageErrorf("there is no configuration at %s or ./%s: name one with --config, or describe one backend with "+
				"--socket, --backend and --consul or --dns", config.Paths()[0], config.Paths()[1])
		}
		return func() (*config.Config, error) { return config.Load(path, a.env) }, nil
	}
	if a.configFile != "" {
		return nil, usageErrorf("--config does not go with --socket, --backend and what belongs to them")
	}
	return func() (*config.Config, error) { return d.Load(a.env) }, nil
}

// wired reads the configuration once and makes everything that it names.
func (a *app) wired(d config.Inline) (*config.Config, wiring, error) {
	load, err := a.loader(d)
	if err != nil {
		return nil, wiring{}, err
	}
	cfg, err := load()
	if err != nil {
		return nil, wiring{}, err
	}
	w, err := newWiring(cfg, nil)
	return cfg, w, err
}

// once makes one round by itself. It fails if an instance is not in sync after
// it.
func (a *app) once(ctx context.Context, cfg *config.Config, format string) error {
	w, err := newWiring(cfg, nil)
	if err != nil {
		return err
	}
	held := locks{}
	defer held.close()
	if err := held.take(ctx, cfg, w, 0); err != nil {
		return err
	}
	if err := distinct(ctx, cfg, time.Second); err != nil {
		return err
	}
	ag, err := a.newAgent(cfg, w)
	if err != nil {
		return err
	}
	status, err := ag.Once(ctx)
	if err != nil {
		return err
	}
	return output.WriteRound(a.stdout, status, format)
}

// newAgent makes an agent for one round or none, which nobody asks for metrics.
func (a *app) newAgent(cfg *config.Config, w wiring) (*agent.Agent, error) {
	_, m := newMetrics()
	ag, err := agent.New(agentOptions(cfg, w, newLogger(a.stderr, cfg.LogFormat, cfg.LogLevel), m))
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	return ag, nil
}
