package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

// An app is what all commands share: where they write, and what they were told
// before their own flags.
type app struct {
	stdout, stderr io.Writer
	place          remote.Place // of the agent, with the environment and the configuration
	format         string       // of the output, "" for the usual one
	bundling       bool         // for a support bundle: nothing is changed, and no secret shown
}

// run executes the command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, env config.Environment) int {
	root := newRootCommand(&app{stdout: stdout, stderr: stderr, place: remote.Place{Env: env}})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		report(stderr, err)
	}
	return exitCode(err)
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "slotsync",
		Short: "Keeps HAProxy's server-template slots filled from service discovery",
		Long: `slotsync watches Consul, DNS, Nomad and files, decides which endpoint sits in which
slot of a server-template, and tells every HAProxy over the Runtime API, without a
reload.

Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 differs.`,
		Example: `  slotsync run --socket /run/haproxy/admin.sock --backend web --consul web
  slotsync check --config /etc/slotsync/slotsync.yaml
  slotsync status`,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetVersionTemplate(versionLine())
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if e, ok := errors.AsType[*exitError](err); ok {
			return e
		}
		return usageErrorf("%w (see %s --help)", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&a.place.ConfigFile, "config", "c", "", "configuration (default /etc/slotsync/slotsync.yaml, then ./slotsync.yaml)")
	root.CompletionOptions.DisableDefaultCmd = true
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run it:", []*cobra.Command{newRunCommand(a), newReloadCommand(a), newSyncCommand(a)}},
		{"Look:", []*cobra.Command{newStatusCommand(a), newHealthCommand(a), newTopCommand(a), newEventsCommand(a), newExplainCommand(a), newPlanCommand(a)}},
		{"Act:", []*cobra.Command{newAcceptCommand(a), newServerCommand(a), newPauseCommand(a), newResumeCommand(a)}},
		{"HAProxy:", []*cobra.Command{newHAProxyCommand(a)}},
		{"Set up:", []*cobra.Command{newCheckCommand(a), newInitCommand(a), newDoctorCommand(a), newLintHAProxyCommand(a), newSupportBundleCommand(a), newConfigCommand(a), newCompletionCommand(a), newDemoCommand(), newManCommand(), newVersionCommand(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("Set up:")
	a.addCompletions(root)
	return root
}

// config loads the configuration that was named or found.
func (a *app) config() (*config.Config, error) {
	path, err := a.configPath("")
	if err != nil {
		return nil, err
	}
	return config.Load(path, a.place.Env)
}

// configPath is where the configuration is that was named or found; orElse is what can be done
// besides where there is none.
func (a *app) configPath(orElse string) (string, error) {
	if path, err := config.Find(a.place.ConfigFile); path != "" || err != nil {
		return path, err
	}
	return "", usageErrorf("there is no configuration at %s or ./%s: name one with --config%s", config.Paths()[0], config.Paths()[1], orElse)
}
