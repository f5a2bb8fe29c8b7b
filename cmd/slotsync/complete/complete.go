// Package complete says what a shell may offer for a word of a command line: names that the
// running agent knows.
package complete

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
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

func ofStatus(names func(s api.Status, args []string) []string) Lookup {
	return of(func(ctx context.Context, c *client.Client) (api.Status, error) { return c.Status(ctx) }, names)
}

// ofBackends reads names from each backend, or with within from the one that stands before.
func ofBackends(within bool, names func(api.BackendStatus) []string) Lookup {
	return ofStatus(func(s api.Status, args []string) (all []string) {
		for _, b := range s.Backends {
			if !within || b.Name == args[0] {
				all = append(all, names(b)...)
			}
		}
		return all
	})
}

func ofSections(name func(s api.ConfigSection, args []string) string) Lookup {
	return of(func(ctx context.Context, c *client.Client) ([]api.ConfigSection, error) {
		return c.HAProxySections(ctx, "")
	},
		func(all []api.ConfigSection, args []string) []string {
			return each(all, func(s api.ConfigSection) string { return name(s, args) })
		})
}

// each reads the name of everything.
func each[T any](all []T, name func(T) string) []string {
	var names []string
	for _, x := range all {
		names = append(names, name(x))
	}
	return names
}

// Backends are the names of all backends.
func Backends() Lookup {
	return ofBackends(false, func(b api.BackendStatus) []string { return []string{b.Name} })
}

// Proxies are HAProxy's names of the backends.
func Proxies() Lookup {
	return ofBackends(false, func(b api.BackendStatus) []string { return []string{b.Backend} })
}

// Instances are the names of all instances.
func Instances() Lookup {
	return ofStatus(func(s api.Status, _ []string) []string {
		return each(s.Instances, func(in api.InstanceStatus) string { return in.Name })
	})
}

// Reloads are the names of all reloads.
func Reloads() Lookup {
	return ofStatus(func(s api.Status, _ []string) []string {
		return each(s.Reloads, func(r api.ReloadStatus) string { return r.Name })
	})
}

// Slots are the slots of all backends.
func Slots() Lookup {
	return ofBackends(false, func(b api.BackendStatus) []string {
		return each(b.Slots, func(s api.SlotStatus) string { return s.Name })
	})
}

// Servers are the endpoints that there are, each by its address and by its slot.
func Servers() Lookup {
	return ofBackends(false, func(b api.BackendStatus) []string {
		return each(subjects(b), func(name string) string { return b.Name + "/" + name })
	})
}

// Subjects are the endpoints and slots of the backend that stands before.
func Subjects() Lookup { return ofBackends(true, subjects) }

// subjects are the endpoints of a backend, and the slots that they are in.
func subjects(b api.BackendStatus) (names []string) {
	for _, s := range b.Slots {
		if s.Endpoint != "" {
			names = append(names, s.Endpoint, s.Name)
		}
	}
	for _, e := range b.Overflow {
		names = append(names, e.Addr.String())
	}
	return names
}

// AcceptIDs are the ids of the backend that stands before.
func AcceptIDs() Lookup {
	return ofBackends(true, func(b api.BackendStatus) []string {
		return each(b.Acceptable(), func(x api.Acceptable) string { return x.ID })
	})
}

// Addresses are those of all endpoints, without ports.
func Addresses() Lookup {
	return ofBackends(false, func(b api.BackendStatus) (names []string) {
		for _, name := range subjects(b) {
			if at, err := netip.ParseAddrPort(name); err == nil {
				names = append(names, at.Addr().String())
			}
		}
		return names
	})
}

// Versions are the ids of the kept versions of HAProxy's configuration.
func Versions() Lookup {
	return of(func(ctx context.Context, c *client.Client) ([]api.ConfigVersion, error) {
		return c.HAProxyVersions(ctx, "")
	},
		func(kept []api.ConfigVersion, _ []string) []string {
			return each(kept, func(v api.ConfigVersion) string { return v.ID })
		})
}

// SectionTypes are those of HAProxy's configuration.
func SectionTypes() Lookup {
	return ofSections(func(s api.ConfigSection, _ []string) string { return s.Type })
}

// SectionNames are those of the type that stands before.
func SectionNames() Lookup {
	return ofSections(func(s api.ConfigSection, args []string) string {
		if s.Type != args[0] {
			return ""
		}
		return s.Name
	})
}
