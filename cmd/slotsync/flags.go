package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/complete"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// The values of --output.
const (
	formatText = "text"
	formatJSON = "json"
)

// A textFlag is a [pflag.Value] of a text; check returns what it becomes.
type textFlag struct {
	to    *string
	check func(string) (string, error)
}

// Set implements [pflag.Value].
func (f textFlag) Set(text string) (err error) {
	*f.to, err = f.check(text)
	return err
}

// String implements [pflag.Value].
func (f textFlag) String() string {
	if f.to == nil {
		return ""
	}
	return *f.to
}

// Type implements [pflag.Value].
func (textFlag) Type() string { return "string" }

// formatFlag adds -o, which is one of formats: the first, if it is not given.
func (a *app) formatFlag(cmd *cobra.Command, help string, formats ...string) {
	cmd.Flags().VarP(textFlag{&a.format, func(text string) (string, error) {
		if !slices.Contains(formats, text) {
			return "", usageErrorf("-o is %s, not %q", strings.Join(formats, " or "), textfmt.Clip(text))
		}
		return text, nil
	}}, "output", "o", help)
	cmd.Flag("output").DefValue = formats[0]
	// It fails for unknown flags and second calls alone.
	_ = cmd.RegisterFlagCompletionFunc("output", a.completion(complete.Words(formats...)))
}

// outputFlag adds -o for text and JSON.
func (a *app) outputFlag(cmd *cobra.Command) {
	a.formatFlag(cmd, "text or json; text cuts what is too long for a cell", formatText, formatJSON)
}

// nameFlag adds a flag for the name of one thing, where there would be all of them without
// it: an empty name, as of a variable that is not set, must not stand for all.
func nameFlag(cmd *cobra.Command, to *string, flagName, help string) {
	cmd.Flags().Var(textFlag{to, func(text string) (string, error) {
		if text == "" {
			return "", errors.New("the name is empty: leave the flag out for all")
		}
		return text, nil
	}}, flagName, help)
}

func reloadNameFlag(cmd *cobra.Command, name *string) {
	nameFlag(cmd, name, "name", `which reload, if there are several: "haproxy" or an instance`)
}

func instanceFlag(cmd *cobra.Command, name *string) {
	nameFlag(cmd, name, "instance", "ask only this one")
}

func durationFlag(cmd *cobra.Command, to *string, name, help string) {
	cmd.Flags().Var(textFlag{to, func(text string) (string, error) {
		if d, err := api.ParseDuration(text); text != "" && (err != nil || d <= 0) {
			return "", usageErrorf("--%s: %q is no duration, as in 10m, 24h or 7d", name, textfmt.Clip(text))
		}
		return text, nil
	}}, name, help)
}

// agentFlags adds what commands need that talk to a running agent.
func (a *app) agentFlags(cmd *cobra.Command) {
	f, x := cmd.Flags(), &a.place.Access
	f.StringVar(&a.place.Agent, "agent", "", "the agent: unix:///path, http://host:port or https://host:port (SLOTSYNC_AGENT; default: as configured)")
	f.StringVar(&x.TokenFile, "token-file", "", "file with the agent's bearer token (SLOTSYNC_TOKEN_FILE)")
	f.StringVar(&x.User, "user", "", "user of the agent's web_config_file (SLOTSYNC_USER)")
	f.StringVar(&x.PasswordFile, "password-file", "", "file with that user's password (SLOTSYNC_PASSWORD_FILE)")
	f.StringVar(&x.CAFile, "ca-file", "", "authorities that may sign the certificate of an https:// agent (SLOTSYNC_CA_FILE; default: the system's)")
	f.StringVar(&x.CertFile, "cert-file", "", "client certificate for an https:// agent (SLOTSYNC_CERT_FILE)")
	f.StringVar(&x.KeyFile, "key-file", "", "key of that certificate (SLOTSYNC_KEY_FILE)")
}

// inlineFlags adds those by which one backend is described instead of a file.
func inlineFlags(cmd *cobra.Command, d *config.Inline) {
	f := cmd.Flags()
	f.StringArrayVar(&d.Sockets, "socket", nil, "Runtime API of an HAProxy: path or tcp://host:port (may repeat)")
	f.StringVar(&d.Backend, "backend", "", "HAProxy's backend")
	f.StringVar(&d.Slots, "slots", "", "prefix of the server-template (default: found)")
	f.StringVar(&d.Consul, "consul", "", "`SERVICE` in Consul")
	f.StringVar(&d.ConsulAddress, "consul-address", "", "Consul's HTTP API (default $CONSUL_HTTP_ADDR, http://127.0.0.1:8500)")
	f.StringVar(&d.DNS, "dns", "", "`NAME` of SRV records, or NAME:PORT of address records")
	f.StringArrayVar(&d.DNSServers, "dns-server", nil, "DNS server as ip:port (may repeat; default /etc/resolv.conf)")
	f.StringArrayVar(&d.StateFiles, "state-file", nil, "server-state file to write, with {backend} in it if there is one for each; one for each --socket")
}

// noArgs refuses arguments, and knows what may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	if len(known) > 0 {
		return usageErrorf("there is no command %q%s (see %s --help)", textfmt.Clip(args[0]), textfmt.DidYouMean(args[0], known), cmd.CommandPath())
	}
	if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(args[0])) {
		return usageErrorf("%s takes no arguments: a configuration is named with --config %s", cmd.CommandPath(), textfmt.Clip(args[0]))
	}
	return usageErrorf("%s takes no arguments, not %q (see %s --help)", cmd.CommandPath(), textfmt.Clip(args[0]), cmd.CommandPath())
}

// takes wants so many arguments, which are called what: "" for what the usage says.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		if what == "" {
			what = strings.TrimPrefix(cmd.Use, cmd.Name()+" ")
		}
		return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), what, cmd.CommandPath())
	}
}

// oneOrAll takes the name of one backend, or nothing for all.
func oneOrAll(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] == "" {
		return usageErrorf("the name is empty: leave it out for all backends (see %s --help)", cmd.CommandPath())
	}
	return takes(0, 1, "")(cmd, args)
}

// nth is an argument, "" if it is not given.
func nth(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
