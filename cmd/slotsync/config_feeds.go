package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/discovery/nomad"
)

// A feedConfig is a source and what it is asked for one backend. The query is that
// of the source's type.
type feedConfig struct {
	name, source string // source is "" for fixed endpoints
	consul       consul.Query
	dns          dns.Query
	file         file.Query
	nomad        nomad.Query
	endpoints    []discovery.Endpoint
	// identity says who is asked for what, key everything that changes the answer.
	identity, key string
}

// fixedName is what endpoints of the configuration are called where sources have a
// name.
const fixedName = "endpoints"

// feedable are the sources that a backend may name.
type feedable struct {
	raw     []rawSource
	checked map[string]sourceConfig
}

// feeds checks what the backend is filled from.
func (c *checker) feeds(path string, r rawBackend, b *backendConfig, sources feedable) {
	asked := slices.Concat(consulKeys(), dnsKeys())
	switch {
	case r.Source != "":
		c.notWith(path, "a backend with source", "from", "failover", "endpoints")
		b.feeds = c.feed(path, r.Source, r.rawFeed, b, sources)
	case c.given(path + ".from"):
		c.notWith(path, "a backend with from", append(asked, "endpoints")...)
		b.feeds = c.from(path, r.From, b, sources)
		b.failover = c.failover(path+".failover", r.Failover, b.feeds)
	default:
		c.notWith(path, "a backend without source", append(asked, "failover")...)
		b.feeds = []feedConfig{c.fixed(path, r, b.policy)}
	}
	for i := range b.feeds {
		// What is let through is no other question; it is another answer.
		b.feeds[i].key = keyOf(b.feeds[i].identity, b.feeds[i].key, prefixes(b.policy.Allow), prefixes(b.policy.Deny), b.policy.Family)
	}
}

func prefixes(list []netip.Prefix) []string {
	var texts []string
	for _, n := range list {
		texts = append(texts, n.String())
	}
	return sorted(texts)
}

func (c *checker) notWith(path, what string, keys ...string) {
	for _, key := range keys {
		if c.given(path + "." + key) {
			c.add(path+"."+key, "does not go with %s", what)
		}
	}
}

// from checks several sources of one backend.
func (c *checker) from(path string, list []rawFrom, b *backendConfig, sources feedable) []feedConfig {
	if len(list) == 0 {
		c.add(path+".from", "names no source")
	}
	var feeds []feedConfig
	for i, r := range list {
		here := fmt.Sprintf("%s.from[%d]", path, i)
		if r.Source == "" {
			c.add(here+".source", "is missing")
			continue
		}
		for _, f := range c.feed(here, r.Source, r.rawFeed, b, sources) {
			c.feedName(here, r, feeds, &f)
			feeds = append(feeds, f)
		}
	}
	return feeds
}

// feedName gives a feed a name that no other one of the backend has.
func (c *checker) feedName(path string, r rawFrom, others []feedConfig, f *feedConfig) {
	if r.Name == "" {
		c.assume(path+".name", f.name)
	} else {
		f.name = r.Name
		c.name(path+".name", r.Name)
	}
	for _, other := range others {
		switch {
		case other.name == f.name && r.Name == "":
			c.add(path+".source", "source %q is there twice: give the entries names that differ", textfmt.Clip(f.name))
		case other.name == f.name:
			c.add(path+".name", "another entry has the name %q already", textfmt.Clip(f.name))
		case other.identity == f.identity:
			c.add(path+".source", "asks for the same as %q", textfmt.Clip(other.name))
		}
	}
}

// feed checks one source and what it is asked; it returns nothing where the source
// is not known.
func (c *checker) feed(path, name string, r rawFeed, b *backendConfig, sources feedable) []feedConfig {
	if !c.reference(path+".source", name, "source", slices.Sorted(maps.Keys(sources.checked))) {
		return nil
	}
	at := slices.IndexFunc(sources.raw, func(s rawSource) bool { return s.Name == name })
	f, kind := feedConfig{name: name, source: name}, sources.raw[at].Type
	keys := map[string][]string{"consul": consulKeys(), "dns": dnsKeys(), "file": fileKeys(), "nomad": nomadKeys()}[kind]
	if keys == nil {
		return nil // the type is at fault
	}
	for _, key := range slices.Concat(consulKeys(), dnsKeys()) {
		if !slices.Contains(keys, key) {
			c.notWith(path, "a source of type "+kind, key)
		}
	}
	switch kind {
	case "consul":
		c.consulFeed(path, r, &f)
	case "dns":
		c.dnsFeed(path, r, b.policy.Family, &f)
	case "file":
		c.fileFeed(path, r, &f)
	case "nomad":
		c.nomadFeed(path, r, &f)
	}
	source := sources.checked[name]
	f.identity, f.key = keyOf(source.identity, f.identity), keyOf(source.key, f.key)
	return []feedConfig{f}
}

// fixed checks endpoints that the configuration names itself.
func (c *checker) fixed(path string, r rawBackend, policy discovery.Policy) feedConfig {
	if len(r.Endpoints) == 0 {
		c.add(path, "backend %q has neither source, from nor endpoints", textfmt.Clip(r.Name))
	}
	f := feedConfig{name: fixedName, identity: "the configuration", key: keyOf(r.Endpoints)}
	for i, text := range r.Endpoints {
		here := fmt.Sprintf("%s.endpoints[%d]", path, i)
		e, ok := c.endpoint(here, text)
		if !ok {
			continue
		}
		if slices.Contains(f.endpoints, e) {
			c.add(here, "%s is there twice", e.Addr)
		}
		if reason := policy.Check(e.Addr); reason != "" {
			c.add(here, "%s is refused by the backend's own rules (%s)", e.Addr, strings.ReplaceAll(reason, "_", " "))
		}
		f.endpoints = append(f.endpoints, e)
	}
	return f
}

// failover checks which source is used first.
func (c *checker) failover(path string, r rawFailover, feeds []feedConfig) sources.Failover {
	if !c.given(path) {
		return sources.Failover{}
	}
	var names []string
	for _, f := range feeds {
		names = append(names, f.name)
	}
	switch {
	case r.Primary == "":
		c.add(path+".primary", "is missing: the source that is used as long as it has enough")
	case c.reference(path+".primary", r.Primary, "entry of from", names) && len(names) < 2:
		c.add(path, "there is no second source to go to")
	}
	return sources.Failover{
		Primary: r.Primary,
		Min:     c.count(path+".min", r.Min, 1, 1, discovery.MaxEndpoints),
		After:   c.duration(path+".after", r.After, 10*time.Second, 100*time.Millisecond, 24*time.Hour),
		Back:    c.duration(path+".back_after", r.Back, time.Minute, 100*time.Millisecond, 24*time.Hour),
	}
}
