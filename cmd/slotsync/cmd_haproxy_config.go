package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

func newHAProxyConfigCommand(a *app) *cobra.Command {
	return group(cobra.Command{
		Use:   "config",
		Short: "HAProxy's configuration and its kept versions",
		Example: `  slotsync haproxy config show
  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
	}, newConfigShowCommand(a), newConfigHistoryCommand(a), newConfigDiffCommand(a), newConfigRestoreCommand(a), newConfigSectionCommand(a))
}

func newConfigShowCommand(a *app) *cobra.Command {
	return a.fileCommand(cobra.Command{
		Use:   "show [VERSION]",
		Short: "Print HAProxy's configuration, or a kept version of it",
		Example: `  slotsync haproxy config show
  slotsync haproxy config show 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(0, 1, ""),
	}, func(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
		return c.HAProxyConfig(ctx, name, nth(args, 0))
	})
}

// fileCommand makes cmd print what the agent is asked for.
func (a *app) fileCommand(cmd cobra.Command, ask func(ctx context.Context, c *client.Client, name string, args []string) (string, error)) *cobra.Command {
	var name string
	made := a.agentCommand(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		text, err := ask(ctx, c, name, args)
		if err != nil {
			return err
		}
		return a.printFile(text)
	})
	reloadNameFlag(made, &name)
	return made
}

func newConfigHistoryCommand(a *app) *cobra.Command {
	var name string
	cmd := askCommand(a, cobra.Command{
		Use:   "history",
		Short: "List the kept versions, newest first",
		Example: `  slotsync haproxy config history
  slotsync haproxy config history -o json`,
		Args: noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) ([]api.ConfigVersion, error) {
		return c.HAProxyVersions(ctx, name)
	}, output.WriteVersions)
	reloadNameFlag(cmd, &name)
	return cmd
}

func newConfigDiffCommand(a *app) *cobra.Command {
	var name string
	cmd := a.agentCommand(cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "Show what changed between two versions, or a version and the file as it is",
		Long: `Show what changed between two versions, or between one and the file as it is. Without
FROM it is the newest good version: what comes is what was edited by hand since, and
nothing if nothing was. Exit 0 if there is no difference, 3 if there is one.`,
		Example: `  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config diff 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(0, 2, ""),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		text, err := remote.DiffVersions(ctx, c, name, nth(args, 0), nth(args, 1))
		if err != nil {
			return err
		}
		if err := a.printFile(text); err != nil || text == "" {
			return err
		}
		return &exitError{code: exitDiffers}
	})
	reloadNameFlag(cmd, &name)
	return cmd
}

func newConfigRestoreCommand(a *app) *cobra.Command {
	var name string
	cmd := a.agentCommand(cobra.Command{
		Use:   "restore VERSION",
		Short: "Put a kept version in force: checked, replaced, HAProxy reloaded",
		Example: `  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(1, 1, ""),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		done, err := c.RestoreHAProxy(ctx, name, args[0], remote.User())
		if err != nil {
			return err
		}
		return show(a, restored(done, name), output.WriteReloads)
	})
	reloadNameFlag(cmd, &name)
	a.outputFlag(cmd)
	return cmd
}

// maxSection is as much as the agent takes.
const maxSection = 64 << 10

func newConfigSectionCommand(a *app) *cobra.Command {
	return group(cobra.Command{
		Use:   "section",
		Short: "List, show, set and delete the sections of HAProxy's configuration",
		Long: `List, show, set and delete whole sections of HAProxy's configuration: in the
template if there is one, else in the file. No other byte is touched. A change is
shown as a diff and then put in force as a reload is: checked, kept, replaced,
HAProxy reloaded; where that fails, what was is put back.`,
		Example: `  slotsync haproxy config section list
  slotsync haproxy config section show backend web > web.cfg
  slotsync haproxy config section set backend web --file web.cfg --dry-run
  slotsync haproxy config section set backend web --file web.cfg
  slotsync haproxy config section delete frontend old`,
	}, newSectionListCommand(a), newSectionShowCommand(a), newSectionSetCommand(a), newSectionDeleteCommand(a))
}

func newSectionListCommand(a *app) *cobra.Command {
	var name string
	cmd := askCommand(a, cobra.Command{
		Use:     "list",
		Short:   "List the sections",
		Example: `  slotsync haproxy config section list`,
		Args:    noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) ([]api.ConfigSection, error) {
		return c.HAProxySections(ctx, name)
	}, output.WriteSections)
	reloadNameFlag(cmd, &name)
	return cmd
}

func newSectionShowCommand(a *app) *cobra.Command {
	return a.fileCommand(cobra.Command{
		Use:   "show TYPE [NAME]",
		Short: "Print a section",
		Example: `  slotsync haproxy config section show backend web
  slotsync haproxy config section show global`,
		Args: takes(1, 2, ""),
	}, func(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
		text, _, err := c.HAProxySection(ctx, name, args[0], nth(args, 1))
		return text, err
	})
}

func newSectionSetCommand(a *app) *cobra.Command {
	var file string
	cmd := a.sectionEditCommand(cobra.Command{
		Use:   "set TYPE [NAME] --file FILE",
		Short: "Put a section in place, and reload HAProxy",
		Long: `Put the section in FILE in place of the one of that type and name, or at the end
if there is none, and reload HAProxy. FILE holds the whole section, its first line
included; - reads it from standard input.

Exit 0 if HAProxy runs with it, 1 if not: then what was is back. With --dry-run, 0
if nothing would change, 3 if something would.`,
		Example: `  slotsync haproxy config section show backend web > web.cfg
  slotsync haproxy config section set backend web --file web.cfg --dry-run
  slotsync haproxy config section set backend web --file web.cfg`,
		Args: takes(1, 2, ""),
	}, func() ([]byte, error) { return sectionFile(file) })
	cmd.Flags().StringVar(&file, "file", "", "the section; - for standard input")
	return cmd
}

func newSectionDeleteCommand(a *app) *cobra.Command {
	return a.sectionEditCommand(cobra.Command{
		Use:   "delete TYPE [NAME]",
		Short: "Remove a section, and reload HAProxy",
		Example: `  slotsync haproxy config section delete frontend old --dry-run
  slotsync haproxy config section delete frontend old`,
		Args: takes(1, 2, ""),
	}, func() ([]byte, error) { return nil, nil })
}

// sectionEditCommand makes cmd change a section; body is what it is to be.
func (a *app) sectionEditCommand(cmd cobra.Command, body func() ([]byte, error)) *cobra.Command {
	var e api.SectionEdit
	var dry bool
	cmd.PreRunE = func(_ *cobra.Command, args []string) (err error) {
		e.Type, e.Name, e.By = args[0], nth(args, 1), remote.User()
		e.Body, err = body()
		return err
	}
	made := a.agentCommand(cmd, func(ctx context.Context, c *client.Client, _ []string) error { return a.editSection(ctx, c, e, dry) })
	flags := made.Flags()
	flags.BoolVar(&dry, "dry-run", false, "only show what would change: exit 0 if nothing, 3 if something")
	flags.BoolVar(&e.Force, "force", false, "overwrite a configuration that was changed by hand since it was rendered")
	reloadNameFlag(made, &e.Reload)
	a.outputFlag(made)
	return made
}

// editSection shows the change before it is made, and makes it only of what was
// shown.
func (a *app) editSection(ctx context.Context, c *client.Client, e api.SectionEdit, dry bool) error {
	e, preview, err := remote.PreviewSection(ctx, c, e)
	if err != nil {
		return err
	}
	if dry || a.format != formatJSON {
		if err := show(a, preview, func(_ io.Writer, preview api.SectionAnswer) error { return a.printFile(preview.Diff) }); err != nil {
			return err
		}
	}
	switch {
	case dry && preview.Diff != "":
		return &exitError{code: exitDiffers}
	case dry:
		return nil
	}
	done, err := c.EditHAProxySection(ctx, e, false)
	if err != nil {
		return err
	}
	return show(a, done, func(w io.Writer, done api.SectionAnswer) error {
		return output.WriteReloads(w, restored(done.Reloads, e.Reload))
	})
}

// sectionFile reads a section from a file, or from standard input.
func sectionFile(file string) ([]byte, error) {
	if file == "" {
		return nil, usageErrorf("--file is missing: the section, or - for standard input")
	}
	text, err := readInput(file, maxSection+1)
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSection:
		return nil, fmt.Errorf("%s has more than 64 KB", file)
	case strings.TrimSpace(string(text)) == "":
		return nil, fmt.Errorf("%s is empty: slotsync haproxy config section delete removes a section", file)
	}
	return text, nil
}
