// Package complete says what a shell may offer for a word of a command line: names that the
// running agent knows.
package complete

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/client"
)

// most is more than anybody reads.
const most = 2000

// A Lookup returns what may stand at a place, after the arguments before it. The client is
// nil where no agent can be asked.
type Lookup func(ctx context.Context, c *client.Client, args []string) ([]string, error)

// Matching returns what begins so, each once, without what a shell would read as more than
// a word.
func Matching(found []string, begun string) []string {
	word := regexp.MustCompile(`^[A-Za-z0-9_.:/%\[\]-]+$`)
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !strings.HasPrefix(s, begun) || !word.MatchString(s) })
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), most)]
}

// Words are the same whatever the agent knows.
func Words(all ...string) Lookup {
	return func(context.Context, *client.Client, []string) ([]string, error) { return all, nil }
}

// of is the Lookup that asks the agent and reads names from the answer.
func of[T any](ask func(context.Context, *client.Client) (T, error), names func(answer T, args []string) []string) Lookup {
	return func(ctx context.Context, c *client.Client, args []string) ([]string, error) {
		if c == nil {
			return nil, errors.New("no agent is configured")
		}
		answer, err := ask(ctx, c)
		if err != nil {
			return nil, err
		}
		return names(answer, args), nil
	}
}
