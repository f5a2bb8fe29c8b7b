package config

import (
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func (c *checker) backends(root *rootKeys, sources map[string]Source) []Backend {
	var instances []string
	for _, in := range root.HAProxy.Instances {
		instances = append(instances, in.Name)
	}
	var list []Backend
	for i := range root.Backends {
		r, path := &root.Backends[i], fmt.Sprintf("backends[%d]", i)
		b := c.backend(path, r)
		c.chosen(path+".instances", r.Instances, instances)
		c.feeds(path, r, &b, feedable{root.Sources, sources})
		for j, other := range list {
			c.checkOverlap(path, b, other, j)
		}
		list = append(list, b)
	}
	return list
}

// backend checks what does not depend on the source.
func (c *checker) backend(path string, r *backendKeys) Backend {
	c.complete(path, r, "")
	if r.Backend == "" {
		r.Backend, c.assumed[path+".backend"] = r.Name, true
	}
	if r.DynamicOptions != "" && !r.Dynamic {
		c.add(path+".dynamic_options", "has no effect without dynamic: true")
	}
	g := r.Guard
	return Backend{
		Name: r.Name, Proxy: r.Backend, Prefix: r.Slots, Instances: r.Instances, OnAllUnhealthy: r.OnAllUnhealthy,
		Guard: guard.Rules{EmptyHold: g.EmptyHold, RemovalHold: g.RemovalHold, MaxRemoval: g.MaxRemoval, Window: g.Window,
			MinEndpoints: g.MinEndpoints, TurnoverWait: g.TurnoverWait},
		Policy:     discovery.Policy{Allow: r.Allow, Deny: r.Deny, Family: r.Family},
		DrainFirst: r.Leave == "drain", Drain: r.Drain, DrainShutdown: r.DrainShutdown, RepairExternal: r.External == "repair",
		Dynamic: r.Dynamic, DynamicOptions: r.DynamicOptions, MaxSlots: r.MaxSlots,
	}
}

func (c *checker) chosen(path string, names, known []string) {
	for i, name := range names {
		here := fmt.Sprintf("%s[%d]", path, i)
		if slices.Contains(names[:i], name) {
			c.add(here, "instance %q is there twice", textfmt.Clip(name))
			continue
		}
		c.reference(here, name, "instance", known)
	}
}

// checkOverlap makes sure that no slot is filled twice, and none has two names in the slot map.
func (c *checker) checkOverlap(path string, b, other Backend, index int) {
	if b.Name != "" && b.Name == other.Name {
		c.add(path+".name", "backends[%d] has the name %q already", index, textfmt.Clip(b.Name))
		return
	}
	if b.Proxy == "" || b.Proxy != other.Proxy {
		return
	}
	at := path + ".backend"
	if !c.given(at) {
		at = path + ".name"
	}
	why := slots.Collide(b.Prefix, other.Prefix)
	switch together := overlap(b.Instances, other.Instances); {
	case why == "", !together && !c.given("slot_map"):
	case !together:
		c.add(at, "HAProxy's backend %q is filled by backends[%d] on other instances, and slot_map has one name for a slot: name the backends differently in haproxy.cfg, or leave slot_map out", textfmt.Clip(b.Proxy), index)
	default:
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
