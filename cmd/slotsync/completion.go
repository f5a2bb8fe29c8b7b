package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/complete"
)

// completionPatience is how long somebody who presses tab waits for the agent.
const completionPatience = 300 * time.Millisecond

// addCompletions has a shell complete what the agent knows, for every command below
// root that takes it. Nothing else is a file, but where a flag names one.
func (a *app) addCompletions(root *cobra.Command) {
	args := argLookups()
	eachCommand(root, func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
			cmd.ValidArgsFunction = a.positional(args[path])
		}
		for name, find := range flagLookups(path) {
			if cmd.Flags().Lookup(name) != nil {
				// It fails for unknown flags and second calls alone.
				_ = cmd.RegisterFlagCompletionFunc(name, a.completion(find))
			}
		}
	})
}

func eachCommand(root *cobra.Command, f func(*cobra.Command)) {
	f(root)
	for _, cmd := range root.Commands() {
		eachCommand(cmd, f)
	}
}

// argLookups says what the arguments of a command are, one after another.
func argLookups() map[string][]complete.Lookup {
	type list = []complete.Lookup
	backend, server, version := complete.Backends(), complete.Servers(), complete.Versions()
	section := list{complete.SectionTypes(), complete.SectionNames()}
	return map[string]list{
		"accept":                        {backend, complete.AcceptIDs()},
		"pause":                         {backend},
		"resume":                        {backend},
		"status":                        {backend},
		"events":                        {backend},
		"explain":                       {backend, complete.Subjects()},
		"server list":                   {backend},
		"server drain":                  {server},
		"server stop":                   {server},
		"server start":                  {server},
		"server weight":                 {server, complete.Words("source", "10%", "50%", "100%")},
		"server remove":                 {server},
		"server shutdown":               {server},
		"haproxy config show":           {version},
		"haproxy config diff":           {version, version},
		"haproxy config restore":        {version},
		"haproxy config section show":   section,
		"haproxy config section set":    section,
		"haproxy config section delete": section,
	}
}

// flagLookups says what the flags of a command take.
func flagLookups(path string) map[string]complete.Lookup {
	all := map[string]complete.Lookup{}
	switch {
	case strings.HasPrefix(path, "haproxy"):
		all["instance"], all["name"] = complete.Instances(), complete.Reloads()
		all["backend"], all["server"] = complete.Proxies(), complete.Slots()
	case strings.HasPrefix(path, "server"):
		all["address"] = complete.Addresses()
	}
	return all
}

// positional completes the arguments of a command, and none after the last.
func (a *app) positional(finds []complete.Lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(finds) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completion(finds[len(args)])(cmd, args, begun)
	}
}

// completion asks the agent. Whatever goes wrong completes nothing, in silence: there
// is a prompt on the screen.
func (a *app) completion(find complete.Lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		c, err := a.client()
		if err != nil {
			c = nil
		}
		found, err := find(ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete.Matching(found, begun), cobra.ShellCompDirectiveNoFileComp
	}
}
