package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newConfigCommand(a *app) *cobra.Command {
	var origins bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show slotsync's own configuration as it is in force",
		Long: `Show slotsync's own configuration as it is in force: what the file says, what the
environment says (SLOTSYNC_*, and where a source says nothing, what the tools of
Consul and Nomad would use), and the defaults for the rest. slotsync check takes
what is printed. Tokens are not shown. HAProxy's configuration is shown by
slotsync haproxy config.

With --origins each value has where it is from: default, FILE:LINE or
environment VARIABLE.`,
		Example: `  slotsync config
  slotsync config --origins
  slotsync config --config ./slotsync.yaml -o json
  slotsync config schema > slotsync.schema.json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := a.configPath("")
			if err != nil {
				return err
			}
			_, s, err := config.LoadSettings(path, a.place.Env)
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return output.WriteJSON(a.stdout, s.JSON(origins))
			}
			_, err = fmt.Fprint(a.stdout, s.YAML(origins))
			return err
		},
	}
	cmd.AddCommand(newConfigSchemaCommand(a))
	a.formatFlag(cmd, "yaml or json", "yaml", formatJSON)
	cmd.Flags().BoolVar(&origins, "origins", false, "say of each value where it is from")
	return cmd
}

func newConfigSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of slotsync.yaml",
		Long: `Print a JSON Schema (2020-12) of slotsync.yaml: every key with its type, default, range
and description. Editors complete and check the file by it, if its first line names
the schema:

  # yaml-language-server: $schema=slotsync.schema.json

What depends on several keys, slotsync check alone sees.`,
		Example: `  slotsync config schema > slotsync.schema.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, string(schema))
			return err
		},
	}
}
