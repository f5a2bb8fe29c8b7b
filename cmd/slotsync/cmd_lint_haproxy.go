package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
)

// maxHAProxyFile is more than any configuration of HAProxy has.
const maxHAProxyFile = 64 << 20

func newLintHAProxyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint-haproxy FILE...",
		Short: "Look for traps in HAProxy's configuration, without a running HAProxy",
		Long: `Read HAProxy's configuration and say what would go wrong with slotsync:
slots that cannot be filled, that are empty after a restart, or that take traffic
before they are filled; a Runtime API that takes no changes; algorithms that take no
weights. Each line says what to write instead. Several files are one configuration, as
HAProxy reads them with several -f: in this order, defaults of an earlier one hold in a
later one. "-" reads standard input. Nothing is asked and nothing is changed. Exit 1 if
anything fails, 0 if there are only warnings.

It reads lines as they stand: variables, .if and quotes are not evaluated. What a
running HAProxy says of itself, ` + "`slotsync doctor`" + ` asks.`,
		Example: `  slotsync lint-haproxy /etc/haproxy/haproxy.cfg
  slotsync lint-haproxy -o json /etc/haproxy/*.cfg`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageErrorf("name a file, as in %s /etc/haproxy/haproxy.cfg", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			files := make([]doctor.ConfigFile, len(args))
			for i, path := range args {
				text, err := readHAProxyFile(path)
				if err != nil {
					return usageErrorf("%w", err)
				}
				files[i] = doctor.ConfigFile{Path: path, Text: text}
			}
			list := doctor.LintHAProxy(files...)
			if len(list) == 0 && a.format != formatJSON {
				fmt.Fprintln(a.stdout, "nothing to say against it")
			}
			return a.showFindings(append([]api.Finding{}, list...))
		},
	}
	a.outputFlag(cmd)
	return cmd
}

func readHAProxyFile(path string) ([]byte, error) {
	text, err := readInput(path, maxHAProxyFile+1)
	if err == nil && len(text) > maxHAProxyFile {
		err = fmt.Errorf("%s is larger than %d MiB: is it HAProxy's configuration?", path, maxHAProxyFile>>20)
	}
	return text, err
}
