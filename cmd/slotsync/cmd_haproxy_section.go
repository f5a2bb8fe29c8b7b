package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

// maxSection is as much as the agent takes.
const maxSection = 64 << 10

func newConfigSectionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
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
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSectionListCommand(a), newSectionShowCommand(a), newSectionSetCommand(a), newSectionDeleteCommand(a))
	return cmd
}

func newSectionListCommand(a *app) *cobra.Command {
	var name, format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the sections",
		Example: `  slotsync haproxy config section list`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, format, func(c *client.Client) ([]api.ConfigSection, error) {
				return c.HAProxySections(cmd.Context(), name)
			}, func(all []api.ConfigSection) error { return output.WriteSections(a.stdout, all) })
		},
	}
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

func newSectionShowCommand(a *app) *cobra.Command {
	return a.fileCommand(cobra.Command{
		Use:   "show TYPE [NAME]",
		Short: "Print a section",
		Example: `  slotsync haproxy config section show backend web
  slotsync haproxy config section show global`,
		Args: versionArgs(1, 2),
	}, func(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
		text, _, err := c.HAProxySection(ctx, name, args[0], nth(args, 1))
		return text, sectionFailed(err)
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
		Args: versionArgs(1, 2),
	}, func() ([]byte, error) { return a.sectionFile(file) })
	cmd.Flags().StringVar(&file, "file", "", "the section; - for standard input")
	return cmd
}

func newSectionDeleteCommand(a *app) *cobra.Command {
	return a.sectionEditCommand(cobra.Command{
		Use:   "delete TYPE [NAME]",
		Short: "Remove a section, and reload HAProxy",
		Example: `  slotsync haproxy config section delete frontend old --dry-run
  slotsync haproxy config section delete frontend old`,
		Args: versionArgs(1, 2),
	}, func() ([]byte, error) { return nil, nil })
}

// sectionEditCommand makes cmd change a section; body is what it is to be.
func (a *app) sectionEditCommand(cmd cobra.Command, body func() ([]byte, error)) *cobra.Command {
	var name, format string
	var dry, force bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := knownOutput(format); err != nil {
			return err
		}
		text, err := body()
		if err != nil {
			return err
		}
		c, err := a.client(cmd.Context())
		if err != nil {
			return err
		}
		e := api.SectionEdit{Reload: name, Type: args[0], Name: nth(args, 1), Body: text, By: whoami(), Force: force}
		return a.editSection(cmd.Context(), c, e, dry, format)
	}
	flags := cmd.Flags()
	flags.BoolVar(&dry, "dry-run", false, "only show what would change: exit 0 if nothing, 3 if something")
	flags.BoolVar(&force, "force", false, "overwrite a configuration that was changed by hand since it was rendered")
	reloadNameFlag(&cmd, &name)
	outputFlag(&cmd, &format)
	a.agentFlags(&cmd)
	return &cmd
}

// editSection shows the change before it is made, and makes it only of what was
// shown.
func (a *app) editSection(ctx context.Context, c *client.Client, e api.SectionEdit, dry bool, format string) error {
	_, etag, err := c.HAProxySection(ctx, e.Reload, e.Type, e.Name)
	if errors.Is(err, api.ErrNoSection) && e.Body != nil {
		etag, err = "*", nil // it is a new one: the agent refuses two of a name
	}
	if err != nil {
		return sectionFailed(err)
	}
	e.ETag = etag
	preview, err := c.EditHAProxySection(ctx, e, true)
	if err != nil {
		return sectionFailed(err)
	}
	if format != "json" {
		if err := a.printFile(preview.Diff); err != nil {
			return err
		}
	}
	switch {
	case dry && preview.Diff != "":
		return errors.Join(a.editJSON(preview, format), &exitError{code: exitDiffers})
	case dry:
		return a.editJSON(preview, format)
	}
	done, err := c.EditHAProxySection(ctx, e, false)
	if err != nil {
		return sectionFailed(err)
	}
	if format == "json" {
		return a.editJSON(done, format)
	}
	return output.WriteReloads(a.stdout, restored(done.Reloads, e.Reload), format)
}

func (a *app) editJSON(done api.SectionAnswer, format string) error {
	if format != "json" {
		return nil
	}
	return output.WriteJSON(a.stdout, done)
}

// sectionFile reads a section from a file, or from standard input.
func (a *app) sectionFile(file string) ([]byte, error) {
	var from io.Reader = os.Stdin
	switch file {
	case "":
		return nil, usageErrorf("--file is missing: the section, or - for standard input")
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxSection+1))
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

// sectionFailed adds where sections are found, if that is what is wrong.
func sectionFailed(err error) error {
	if errors.Is(err, api.ErrNoSection) {
		return errors.New(strings.TrimPrefix(err.Error(), api.ErrNoSection.Error()+": ") + " (slotsync haproxy config section list shows them)")
	}
	return err
}
