package agent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/slots"
)

// check returns every fault of the options.
func (o Options) check() error {
	var errs []error
	names := map[string]bool{}
	for _, in := range o.Instances {
		if names[in.Name] {
			errs = append(errs, fmt.Errorf("two instances are named %q", in.Name))
		}
		names[in.Name] = true
	}
	backends := map[string]bool{}
	for _, b := range o.Backends {
		if backends[b.Name] {
			errs = append(errs, fmt.Errorf("two backends are named %q", b.Name))
		}
		backends[b.Name] = true
		errs = append(errs, b.checkFeeds()...)
		for _, in := range b.Instances {
			if !names[in] {
				errs = append(errs, fmt.Errorf("backend %q: no instance is named %q", b.Name, in))
			}
		}
	}
	errs = append(errs, o.checkShared()...)
	for _, r := range o.Reloads {
		for _, in := range r.Instances {
			if !names[in] {
				errs = append(errs, fmt.Errorf("reload %q: no instance is named %q", r.Name, in))
			}
		}
	}
	if len(o.Instances) == 0 {
		errs = append(errs, errors.New("no instance is configured"))
	}
	if len(o.Backends) == 0 {
		errs = append(errs, errors.New("no backend is configured"))
	}
	return errors.Join(errs...)
}

// checkShared returns what is wrong with backends that share one of HAProxy: each needs
// slots of its own.
func (o Options) checkShared() []error {
	var errs []error
	for i, b := range o.Backends {
		for _, other := range o.Backends[:i] {
			if b.Proxy != other.Proxy || !b.meets(other) {
				continue
			}
			if why := slots.Collide(b.Prefix, other.Prefix); why != "" {
				errs = append(errs, fmt.Errorf("backends %q and %q fill the same backend %q of HAProxy: %s", other.Name, b.Name, b.Proxy, why))
			}
		}
	}
	return errs
}

// meets reports whether two backends have an instance in common.
func (b Backend) meets(other Backend) bool {
	return len(b.Instances) == 0 || len(other.Instances) == 0 ||
		slices.ContainsFunc(b.Instances, func(in string) bool { return slices.Contains(other.Instances, in) })
}

// checkFeeds returns every fault of the feeds.
func (b Backend) checkFeeds() []error {
	var errs []error
	if len(b.Feeds) == 0 {
		errs = append(errs, fmt.Errorf("backend %q has no source", b.Name))
	}
	names := map[string]bool{}
	for _, f := range b.Feeds {
		if names[f.Name] {
			errs = append(errs, fmt.Errorf("backend %q: two sources are named %q", b.Name, f.Name))
		}
		names[f.Name] = true
	}
	if p := b.Failover.Primary; p != "" && !names[p] {
		errs = append(errs, fmt.Errorf("backend %q: no source is named %q, which is to be the primary", b.Name, p))
	}
	if !slices.Contains([]string{"", KeepUnhealthy, DropUnhealthy}, b.OnAllUnhealthy) {
		errs = append(errs, fmt.Errorf("backend %q: %q is no way to treat unhealthy endpoints", b.Name, b.OnAllUnhealthy))
	}
	return errs
}
