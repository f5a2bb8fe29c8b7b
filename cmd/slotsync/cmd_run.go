package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
)

func newRunCommand(a *app) *cobra.Command {
	var d config.Inline
	var single bool
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
			if err := cfg.PrepareFolders(); err != nil {
				return err
			}
			daemon.WarnMisspelt(cfg, a.runOptions())
			if single {
				return a.syncOnce(cmd.Context(), cfg)
			}
			return daemon.Serve(cmd.Context(), cfg, load, a.runOptions())
		},
	}
	cmd.Flags().BoolVar(&single, "once", false, "make one round and exit: 0 if every instance is in sync then, else 1")
	inlineFlags(cmd, &d)
	return cmd
}

// loader returns what reads the configuration, now and at each reload.
func (a *app) loader(d config.Inline) (func() (*config.Config, error), error) {
	if d.Empty() {
		path, err := a.configPath(", or describe one backend with --socket, --backend and --consul or --dns")
		if err != nil {
			return nil, err
		}
		return func() (*config.Config, error) { return config.Load(path, a.place.Env) }, nil
	}
	if a.place.ConfigFile != "" {
		return nil, usageErrorf("--config does not go with --socket, --backend and what belongs to them")
	}
	return func() (*config.Config, error) { return d.Load(a.place.Env) }, nil
}

// loadOnce reads the configuration of a command that does not go on.
func (a *app) loadOnce(d config.Inline) (*config.Config, error) {
	load, err := a.loader(d)
	if err != nil {
		return nil, err
	}
	return load()
}

func (a *app) runOptions() daemon.Options {
	return daemon.Options{Log: a.stderr, Version: version, Environment: a.place.Env, Examine: a.examine}
}

// syncOnce makes one round by itself. It fails if an instance is not in sync after it.
func (a *app) syncOnce(ctx context.Context, cfg *config.Config) error {
	status, err := daemon.Once(ctx, cfg, a.runOptions())
	if err != nil {
		return err
	}
	return a.showRound(status)
}
