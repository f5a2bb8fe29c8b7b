package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

func (c *checker) backends(raw rawConfig, sources map[string]Source) []Backend {
	if len(raw.Backends) == 0 {
		c.add("backends", "there is no backend: name at least one and its source")
	}
	var instances []string
	for _, in := range raw.HAProxy.Instances {
		instances = append(instances, in.Name)
	}
	outer := c.guard("guard", raw.Guard, guard.Rules{EmptyHold: guard.DefaultEmptyHold, RemovalHold: guard.DefaultRemovalHold,
		MaxRemoval: guard.DefaultMaxRemoval, Window: guard.DefaultWindow, TurnoverWait: guard.DefaultTurnover})
	var list []Backend
	for i, r := range raw.Backends {
		path := fmt.Sprintf("backends[%d]", i)
		b := c.backend(path, r, outer)
		b.Instances = c.chosen(path+".instances", r.Instances, instances)
		c.feeds(path, r, &b, feedable{raw.Sources, sources})
		for j, other := range list {
			c.checkOverlap(path, b, other, j)
		}
		list = append(list, b)
	}
	return list
}

// backend checks what does not depend on the source.
func (c *checker) backend(path string, r rawBackend, outer guard.Rules) Backend {
	c.name(path+".name", r.Name)
	b := Backend{Name: r.Name, Proxy: r.Backend, Prefix: r.Slots}
	if b.Proxy == "" {
		b.Proxy = r.Name
		c.assume(path+".backend", r.Name)
	} else {
		c.name(path+".backend", r.Backend)
	}
	if r.Slots != "" {
		c.name(path+".slots", r.Slots)
	}
	b.Guard = c.guard(path+".guard", r.Guard, outer)
	c.inherit(path+".guard", "guard", "empty_hold", "removal_hold", "max_removal", "window", "turnover_wait", "min_endpoints")
	b.Policy = discovery.Policy{
		Allow: c.networks(path+".allow", r.Allow), Deny: c.networks(path+".deny", r.Deny),
		Family: c.oneOf(path+".family", r.Family, discovery.AnyFamily, discovery.OnlyV4, discovery.OnlyV6, discovery.PreferV4),
	}
	b.OnAllUnhealthy = c.oneOf(path+".on_all_unhealthy", r.OnAllUnhealthy, "auto", "keep", "drop")
	b.DrainFirst = c.oneOf(path+".leave", r.Leave, "maint", "drain") == "drain"
	b.Drain = c.duration(path+".drain", r.Drain, agent.DefaultDrain, 10*time.Millisecond, 24*time.Hour)
	b.DrainShutdown = c.flag(path+".drain_shutdown", r.DrainShutdown)
	b.Dynamic, b.DynamicOptions = c.flag(path+".dynamic", r.Dynamic), r.DynamicOptions
	if err := haproxy.CheckOptions(r.DynamicOptions); err != nil {
		c.add(path+".dynamic_options", "%v", err)
	}
	if r.DynamicOptions != "" && !r.Dynamic {
		c.add(path+".dynamic_options", "has no effect without dynamic: true")
	}
	b.MaxSlots = c.count(path+".max_slots", r.MaxSlots, agent.DefaultMaxSlots, 1, 100_000)
	b.RepairExternal = c.oneOf(path+".external", r.External, "respect", "repair") == "repair"
	return b
}

func (c *checker) guard(path string, r rawGuard, outer guard.Rules) guard.Rules {
	return guard.Rules{
		EmptyHold:    c.hold(path+".empty_hold", r.EmptyHold, outer.EmptyHold),
		RemovalHold:  c.hold(path+".removal_hold", r.RemovalHold, outer.RemovalHold),
		MaxRemoval:   c.percent(path+".max_removal", r.MaxRemoval, outer.MaxRemoval),
		Window:       c.duration(path+".window", r.Window, outer.Window, time.Second, 24*time.Hour),
		TurnoverWait: c.orOff(path+".turnover_wait", r.TurnoverWait, outer.TurnoverWait),
		MinEndpoints: c.count(path+".min_endpoints", r.MinEndpoints, outer.MinEndpoints, 0, discovery.MaxEndpoints),
	}
}

// chosen checks the instances of a backend.
func (c *checker) chosen(path string, names, known []string) []string {
	for i, name := range names {
		here := fmt.Sprintf("%s[%d]", path, i)
		if slices.Contains(names[:i], name) {
			c.add(here, "instance %q is there twice", textfmt.Clip(name))
			continue
		}
		c.reference(here, name, "instance", known)
	}
	return names
}

// checkOverlap makes sure that no slot is filled twice.
func (c *checker) checkOverlap(path string, b, other Backend, index int) {
	if b.Name != "" && b.Name == other.Name {
		c.add(path+".name", "backends[%d] has the name %q already", index, textfmt.Clip(b.Name))
		return
	}
	if b.Proxy == "" || b.Proxy != other.Proxy || !overlap(b.Instances, other.Instances) {
		return
	}
	at := path + ".backend"
	if !c.given(at) {
		at = path + ".name"
	}
	if why := slots.Collide(b.Prefix, other.Prefix); why != "" {
		c.add(at, "HAProxy's backend %q is filled by backends[%d] already: %s", textfmt.Clip(b.Proxy), index, why)
	}
}

// overlap reports whether two lists of instances have one in common; an empty
// list means all.
func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
