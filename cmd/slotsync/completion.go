package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/client"
)

const (
	// completionPatience is how long somebody who presses tab waits for the agent.
	completionPatience = 300 * time.Millisecond
	// maxCompletions is more than anybody reads.
	maxCompletions = 2000
)

// A lookup asks the agent what may stand at a place, after the arguments before it.
type lookup func(ctx context.Context, c *client.Client, args []string) ([]string, error)

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

// eachCommand calls f for root and every command below.
func eachCommand(root *cobra.Command, f func(*cobra.Command)) {
	f(root)
	for _, cmd := range root.Commands() {
		eachCommand(cmd, f)
	}
}

// argLookups says what the arguments of a command are, one after another.
func argLookups() map[string][]lookup {
	return map[string][]lookup{
		"accept":                        {backendNames, acceptIDs},
		"pause":                         {backendNames},
		"resume":                        {backendNames},
		"explain":                       {backendNames, subjectsOf},
		"server list":                   {backendNames},
		"server drain":                  {serverNames},
		"server stop":                   {serverNames},
		"server start":                  {serverNames},
		"server weight":                 {serverNames, words("source", "10%", "50%", "100%")},
		"server remove":                 {serverNames},
		"server shutdown":               {serverNames},
		"haproxy config show":           {versionIDs},
		"haproxy config diff":           {versionIDs, versionIDs},
		"haproxy config restore":        {versionIDs},
		"haproxy config section show":   {sectionTypes, sectionNames},
		"haproxy config section set":    {sectionTypes, sectionNames},
		"haproxy config section delete": {sectionTypes, sectionNames},
	}
}

// flagLookups says what the flags of a command take.
func flagLookups(path string) map[string]lookup {
	all := map[string]lookup{"output": words("text", "json")}
	switch {
	case path == "config":
		all["output"] = words("yaml", "json")
	case strings.HasPrefix(path, "haproxy"):
		all["instance"], all["name"] = instanceNames, reloadNames
		all["backend"], all["server"] = proxyNames, slotNames
	case strings.HasPrefix(path, "server"):
		all["address"] = endpointAddresses
	}
	return all
}

// positional completes the arguments of a command, and none after the last.
func (a *app) positional(finds []lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(finds) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completion(finds[len(args)])(cmd, args, begun)
	}
}

// completion asks the agent. Whatever goes wrong completes nothing, in silence: there
// is a prompt on the screen.
func (a *app) completion(find lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		c, err := a.client(ctx)
		if err != nil {
			c = nil
		}
		found, err := find(ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offered(found, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// offered returns what begins so, each once, without what a shell would read as more
// than a word.
func offered(found []string, begun string) []string {
	word := regexp.MustCompile(`^[A-Za-z0-9_.:/%\[\]-]+$`)
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !strings.HasPrefix(s, begun) || !word.MatchString(s) })
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), maxCompletions)]
}

// words are the same whatever the agent knows.
func words(all ...string) lookup {
	return func(context.Context, *client.Client, []string) ([]string, error) { return all, nil }
}
