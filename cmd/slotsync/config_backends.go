package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/slots/haproxy"
)

func (c *checker) backends(raw rawConfig) []backendConfig {
	if len(raw.Backends) == 0 {
		c.add("backends", "there is no backend: name at least one and its source")
	}
	sources := map[string]rawSource{}
	for _, s := range raw.Sources {
		sources[s.Name] = s
	}
	var instances []string
	for _, in := range raw.HAProxy.Instances {
		instances = append(instances, in.Name)
	}
	outer := c.guard("guard", raw.Guard, agent.Guard{EmptyHold: agent.DefaultEmptyHold,
		RemovalHold: agent.DefaultRemovalHold, MaxRemoval: agent.DefaultMaxRemoval, Window: agent.DefaultWindow})
	var list []backendConfig
	for i, r := range raw.Backends {
		path := fmt.Sprintf("backends[%d]", i)
		b := c.backend(path, r, outer)
		b.instances = c.chosen(path+".instances", r.Instances, instances)
		c.fill(path, r, &b, sources)
		for j, other := range list {
			c.apart(path, b, other, j)
		}
		list = append(list, b)
	}
	return list
}

// backend checks what does not depend on the source.
func (c *checker) backend(path string, r rawBackend, outer agent.Guard) backendConfig {
	c.name(path+".name", r.Name)
	b := backendConfig{name: r.Name, proxy: r.Backend, prefix: r.Slots}
	if b.proxy == "" {
		b.proxy = r.Name
	} else {
		c.name(path+".backend", r.Backend)
	}
	if r.Slots != "" {
		c.name(path+".slots", r.Slots)
	}
	b.guard = c.guard(path+".guard", r.Guard, outer)
	b.drainFirst = c.oneOf(path+".leave", r.Leave, "maint", "drain") == "drain"
	b.drain = c.duration(path+".drain", r.Drain, agent.DefaultDrain, 10*time.Millisecond, 24*time.Hour)
	b.dynamic, b.dynamicOptions = r.Dynamic, r.DynamicOptions
	if err := haproxy.CheckOptions(r.DynamicOptions); err != nil {
		c.add(path+".dynamic_options", "%v", err)
	}
	if r.DynamicOptions != "" && !r.Dynamic {
		c.add(path+".dynamic_options", "has no effect without dynamic: true")
	}
	b.maxSlots = c.count(path+".max_slots", r.MaxSlots, agent.DefaultMaxSlots, 1, 100_000)
	b.repairExternal = c.oneOf(path+".external", r.External, "respect", "repair") == "repair"
	return b
}

func (c *checker) guard(path string, r rawGuard, outer agent.Guard) agent.Guard {
	return agent.Guard{
		EmptyHold:   c.hold(path+".empty_hold", r.EmptyHold, outer.EmptyHold),
		RemovalHold: c.hold(path+".removal_hold", r.RemovalHold, outer.RemovalHold),
		MaxRemoval:  c.percent(path+".max_removal", r.MaxRemoval, outer.MaxRemoval),
		Window:      c.duration(path+".window", r.Window, outer.Window, time.Second, 24*time.Hour),
	}
}

// chosen checks the instances of a backend.
func (c *checker) chosen(path string, names, known []string) []string {
	for i, name := range names {
		here := fmt.Sprintf("%s[%d]", path, i)
		if slices.Contains(names[:i], name) {
			c.add(here, "instance %q is there twice", shown(name))
			continue
		}
		c.reference(here, name, "instance", known)
	}
	return names
}

// fill checks what the backend is filled from.
func (c *checker) fill(path string, r rawBackend, b *backendConfig, sources map[string]rawSource) {
	consulKeys := []string{"service", "tags", "filter", "health", "ignore_node_health"}
	dnsKeys := []string{"record", "type", "port"}
	if r.Source == "" {
		c.notWith(path, "a backend without source", slices.Concat(consulKeys, dnsKeys))
		b.endpoints = c.fixed(path, r)
		b.key = keyOf("fixed", r.Endpoints)
		return
	}
	c.notWith(path, "a backend with source", []string{"endpoints"})
	if !c.reference(path+".source", r.Source, "source", slices.Sorted(maps.Keys(sources))) {
		return
	}
	b.source = r.Source
	source := sources[r.Source]
	switch source.Type {
	case "consul":
		c.notWith(path, "a source of type consul", dnsKeys)
		b.consul = c.service(path, r)
		b.key = keyOf(source, r.Service, r.Tags, r.Filter, r.Health, r.IgnoreNodeHealth)
	case "dns":
		c.notWith(path, "a source of type dns", consulKeys)
		b.dns = c.record(path, r)
		b.key = keyOf(source, r.Record, r.Type, r.Port)
	}
}

func (c *checker) notWith(path, what string, keys []string) {
	for _, key := range keys {
		if c.given(path + "." + key) {
			c.add(path+"."+key, "does not go with %s", what)
		}
	}
}

func (c *checker) fixed(path string, r rawBackend) []discovery.Endpoint {
	if len(r.Endpoints) == 0 {
		c.add(path, "backend %q has neither source nor endpoints", shown(r.Name))
	}
	var list []discovery.Endpoint
	for i, text := range r.Endpoints {
		here := fmt.Sprintf("%s.endpoints[%d]", path, i)
		e, ok := c.endpoint(here, text)
		if !ok {
			continue
		}
		if slices.Contains(list, e) {
			c.add(here, "%s is there twice", e.Addr)
		}
		list = append(list, e)
	}
	return list
}

func (c *checker) service(path string, r rawBackend) consul.Query {
	c.name(path+".service", r.Service)
	for i, tag := range r.Tags {
		if tag == "" || discovery.Printable(tag, 255) != tag {
			c.add(fmt.Sprintf("%s.tags[%d]", path, i), "%q is not a tag", shown(tag))
		}
	}
	return consul.Query{Service: r.Service, Tags: r.Tags, Filter: r.Filter,
		Health: c.oneOf(path+".health", r.Health, "warning", "passing", "any"), IgnoreNodeHealth: r.IgnoreNodeHealth}
}

func (c *checker) record(path string, r rawBackend) dns.Query {
	srv := strings.HasPrefix(r.Record, "_")
	kinds := []string{"A+AAAA", "A", "AAAA", "SRV"}
	if srv {
		kinds = []string{"SRV", "A", "AAAA", "A+AAAA"}
	}
	q := dns.Query{Record: r.Record, Type: c.oneOf(path+".type", r.Type, kinds...)}
	switch {
	case r.Record == "":
		c.add(path+".record", "is missing")
	case len(r.Record) > 254 || !regexp.MustCompile(`^([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?$`).MatchString(r.Record):
		c.add(path+".record", "%q is not a name in DNS", shown(r.Record))
	}
	switch {
	case q.Type == "SRV" && c.given(path+".port"):
		c.add(path+".port", "does not go with SRV records, which have their own ports")
	case q.Type == "SRV":
	case !c.given(path + ".port"):
		c.add(path+".port", "is missing: address records have none")
	case r.Port < 1 || r.Port > 65535:
		c.add(path+".port", "%d is not within 1 and 65535", r.Port)
	default:
		q.Port = uint16(r.Port)
	}
	return q
}

// apart makes sure that no slot is filled twice.
func (c *checker) apart(path string, b, other backendConfig, index int) {
	if b.name != "" && b.name == other.name {
		c.add(path+".name", "backends[%d] has the name %q already", index, shown(b.name))
		return
	}
	if b.proxy == "" || b.proxy != other.proxy || !overlap(b.instances, other.instances) {
		return
	}
	at := path + ".backend"
	if !c.given(at) {
		at = path + ".name"
	}
	c.add(at, "HAProxy's backend %q is filled by backends[%d] already", shown(b.proxy), index)
}

// overlap reports whether two lists of instances have one in common; an empty
// list means all.
func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
