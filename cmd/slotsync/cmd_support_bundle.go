package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/support"
	"github.com/slotsync/slotsync/securedir"
)

func newSupportBundleCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Write one file with all that helps to understand a fault",
		Long: `Ask the running agent, HAProxy and the sources, and write what they say into one
archive: the configuration in force, status, events, metrics, plan, findings of doctor,
HAProxy's own info and servers, and what the machine is. What cannot be had says why.
Tokens and passwords are masked, and HAProxy's configuration and its clients' addresses
are left out; names and addresses of backends and endpoints are in it: look before you
send it. Nothing is changed. The file is readable for its owner alone.`,
		Example: `  sudo slotsync support-bundle
  sudo slotsync support-bundle --out /tmp/bundle.tar.gz
  slotsync support-bundle --out - | tar tz`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name := "slotsync-" + time.Now().UTC().Format("20060102-150405")
			if out == "" {
				out = name + ".tar.gz"
			}
			return a.writeBundle(cmd.Context(), name, out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write (default slotsync-TIME.tar.gz here); - writes to standard output")
	a.agentFlags(cmd)
	return cmd
}

// bundled are the commands whose output is in a bundle, by the file that it is in.
func bundled() []struct {
	name string
	args []string
} {
	return []struct {
		name string
		args []string
	}{
		{"version.txt", []string{"version"}},
		{"check.txt", []string{"check"}},
		{"config.txt", []string{"config", "--origins"}},
		{"doctor.txt", []string{"doctor"}},
		{"status.txt", []string{"status", "--all"}},
		{"status.json", []string{"status", "-o", "json"}},
		{"events.json", []string{"events", "-o", "json"}},
		{"plan.txt", []string{"plan"}},
		{"reload-needed.json", []string{"haproxy", "reload", "--needed", "-o", "json"}},
		{"haproxy-info.json", []string{"haproxy", "info", "-o", "json"}},
		{"haproxy-servers.json", []string{"haproxy", "servers", "-o", "json"}},
		{"haproxy-stat.json", []string{"haproxy", "stat", "-o", "json"}},
	}
}

func (a *app) writeBundle(ctx context.Context, name, out string) error {
	var items []support.Item
	for _, b := range bundled() {
		items = append(items, support.Item{Name: b.name, Make: func(ctx context.Context, w io.Writer) error { return a.again(ctx, b.args, w) }})
	}
	items = append(items,
		support.Item{Name: "metrics.txt", Make: func(ctx context.Context, w io.Writer) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			text, err := c.Metrics(ctx)
			_, _ = w.Write(text) // into memory
			return err
		}},
		support.Item{Name: "environment.txt", Make: func(_ context.Context, w io.Writer) error { support.Environment(a.place.Env, w); return nil }},
		support.Item{Name: "system.txt", Make: func(_ context.Context, w io.Writer) error { support.System(w); return nil }},
		support.Item{Name: "files.txt", Make: a.describeFiles},
	)
	write := func(to io.Writer) error {
		return support.Write(ctx, to, name, items, a.mask(), func(item string, err error) {
			fmt.Fprintf(a.stderr, "slotsync: %s is not complete: %v\n", item, err)
		})
	}
	if out == "-" {
		return write(a.stdout)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, securedir.Private().Mode)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	_, err = fmt.Fprintf(a.stdout, "%s is written. Look through it before you send it: tar xzf %s\n", out, out)
	return err
}

// again runs another command with what this one was told of the configuration and the agent.
// That it exits with a code is part of what it says.
func (a *app) again(ctx context.Context, args []string, w io.Writer) error {
	if a.place.ConfigFile != "" {
		args = append(args, "--config", a.place.ConfigFile)
	}
	other := *a
	other.stdout, other.stderr, other.bundling = w, w, true
	root := newRootCommand(&other) // which gives every flag its default
	other.place = a.place
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		report(w, err)
		fmt.Fprintf(w, "exit code %d\n", exitCode(err))
	}
	return ctx.Err()
}

// describeFiles writes owner and mode of what the configuration names.
func (a *app) describeFiles(_ context.Context, w io.Writer) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	paths := []string{cfg.File, cfg.StateDir, cfg.HTTP.Socket, cfg.HTTP.Audit}
	for _, file := range cfg.SecretFiles() {
		paths = append(paths, file.Path)
	}
	for _, in := range cfg.Instances {
		paths = append(paths, in.Socket, filepath.Dir(in.Socket))
		if in.StateFile != "" {
			paths = append(paths, config.StateFolder(in.StateFile))
		}
	}
	for _, r := range cfg.Reloads {
		paths = append(paths, r.File, r.Template, r.Master)
	}
	support.Files(w, paths...)
	return nil
}

// mask knows the secrets that are in the environment and in the files that the
// configuration names.
func (a *app) mask() support.Mask {
	secrets := support.EnvironmentSecrets(a.place.Env)
	files := []string{a.place.Access.TokenFile, a.place.Access.PasswordFile, a.place.Env["SLOTSYNC_TOKEN_FILE"], a.place.Env["SLOTSYNC_PASSWORD_FILE"]}
	if cfg, err := a.config(); err == nil {
		for _, file := range cfg.SecretFiles() {
			files = append(files, file.Path)
		}
		for _, r := range cfg.Reloads {
			secrets = slices.Concat(secrets, support.WordSecrets(r.Command), support.WordSecrets(r.Check))
		}
	}
	for _, path := range files {
		if text, err := support.ReadSecret(path); err == nil { // what cannot be read here is in no output of ours either
			secrets = append(secrets, text)
		}
	}
	return support.NewMask(secrets)
}
