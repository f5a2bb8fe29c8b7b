package main

import (
	"context"
	"errors"
	"net/netip"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

var errNoAgent = errors.New("no agent is configured")

// fromStatus reads the status of the agent.
func fromStatus(ctx context.Context, c *client.Client, read func(api.Status) []string) ([]string, error) {
	if c == nil {
		return nil, errNoAgent
	}
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return read(status), nil
}

// each reads the name of everything.
func each[T any](all []T, name func(T) string) []string {
	var names []string
	for _, x := range all {
		names = append(names, name(x))
	}
	return names
}

func backendNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) []string {
		return each(s.Backends, func(b api.BackendStatus) string { return b.Name })
	})
}

// proxyNames are HAProxy's names of the backends.
func proxyNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) []string {
		return each(s.Backends, func(b api.BackendStatus) string { return b.Backend })
	})
}

func instanceNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) []string {
		return each(s.Instances, func(in api.InstanceStatus) string { return in.Name })
	})
}

func reloadNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) []string {
		return each(s.Reloads, func(r api.ReloadStatus) string { return r.Name })
	})
}

// slotNames are the slots of all backends.
func slotNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) (names []string) {
		for _, b := range s.Backends {
			names = append(names, each(b.Slots, func(s api.SlotStatus) string { return s.Name })...)
		}
		return names
	})
}

// serverNames are the endpoints that there are, each by its address and by its slot.
func serverNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) (names []string) {
		for _, b := range s.Backends {
			for _, name := range subjects(b) {
				names = append(names, b.Name+"/"+name)
			}
		}
		return names
	})
}

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

// subjectsOf are those of the backend that stands before.
func subjectsOf(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) (names []string) {
		for _, b := range s.Backends {
			if b.Name == args[0] {
				names = subjects(b)
			}
		}
		return names
	})
}

// acceptIDs are the ids of the backend that stands before.
func acceptIDs(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) (names []string) {
		for _, b := range s.Backends {
			if b.Name == args[0] {
				names = each(b.Acceptable(), func(x api.Acceptable) string { return x.ID })
			}
		}
		return names
	})
}

// endpointAddresses are those of all endpoints, without ports.
func endpointAddresses(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return fromStatus(ctx, c, func(s api.Status) (names []string) {
		for _, b := range s.Backends {
			for _, name := range subjects(b) {
				if at, err := netip.ParseAddrPort(name); err == nil {
					names = append(names, at.Addr().String())
				}
			}
		}
		return names
	})
}

func versionIDs(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	if c == nil {
		return nil, errNoAgent
	}
	kept, err := c.HAProxyVersions(ctx, "")
	return each(kept, func(v api.ConfigVersion) string { return v.ID }), err
}

func sectionTypes(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	if c == nil {
		return nil, errNoAgent
	}
	all, err := c.HAProxySections(ctx, "")
	return each(all, func(s api.ConfigSection) string { return s.Type }), err
}

// sectionNames are those of the type that stands before.
func sectionNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if c == nil {
		return nil, errNoAgent
	}
	all, err := c.HAProxySections(ctx, "")
	return each(all, func(s api.ConfigSection) string {
		if s.Type != args[0] {
			return ""
		}
		return s.Name
	}), err
}
