package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/discovery/nomad"
)

// A Feed is a source and what it is asked for one backend. The query is that
// of the source's type.
type Feed struct {
	Name, Source string // source is "" for fixed endpoints
	Consul       consul.Query
	DNS          dns.Query
	File         file.Query
	Nomad        nomad.Query
	Endpoints    []discovery.Endpoint
	// Identity says who is asked for what, key everything that changes the answer.
	Identity, Key string
}

// fixedName is what endpoints of the configuration are called where sources have a
// name.
const fixedName = "endpoints"

// feedable are the sources that a backend may name.
type feedable struct {
	keys    []sourceKeys
	checked map[string]Source
}

func (c *checker) feeds(path string, r *backendKeys, b *Backend, sources feedable) {
	var asked []string
	for key := range members(reflect.TypeFor[feedKeys]()) {
		asked = append(asked, key)
	}
	switch {
	case r.Source != "":
		c.notWith(path, "a backend with source", "from", "failover", "endpoints")
		b.Feeds = c.feed(path, r.Source, &r.feedKeys, b, sources)
	case c.given(path + ".from"):
		c.notWith(path, "a backend with from", append(asked, "endpoints")...)
		b.Feeds = c.from(path, r.From, b, sources)
		b.Failover = c.failover(path+".failover", &r.Failover, b.Feeds)
	default:
		c.notWith(path, "a backend without source", append(asked, "failover")...)
		b.Feeds = []Feed{c.fixed(path, r, b.Policy)}
	}
	for i := range b.Feeds {
		// What is let through is no other question; it is another answer.
		b.Feeds[i].Key = keyOf(b.Feeds[i].Identity, b.Feeds[i].Key, sorted(prefixes(b.Policy.Allow)), sorted(prefixes(b.Policy.Deny)), b.Policy.Family)
	}
}

func (c *checker) from(path string, list []fromKeys, b *Backend, sources feedable) []Feed {
	if len(list) == 0 {
		c.add(path+".from", "names no source")
	}
	var feeds []Feed
	for i := range list {
		r, here := &list[i], fmt.Sprintf("%s.from[%d]", path, i)
		c.complete(here, r, "")
		for _, f := range c.feed(here, r.Source, &r.feedKeys, b, sources) {
			c.feedName(here, r, feeds, &f)
			feeds = append(feeds, f)
		}
	}
	return feeds
}

// feedName gives a feed a name that no other one of the backend has.
func (c *checker) feedName(path string, r *fromKeys, others []Feed, f *Feed) {
	named := r.Name != ""
	if !named {
		r.Name, c.assumed[path+".name"] = f.Name, true
	}
	f.Name = r.Name
	for _, other := range others {
		switch {
		case other.Name == f.Name && !named:
			c.add(path+".source", "source %q is there twice: give the entries names that differ", textfmt.Clip(f.Name))
		case other.Name == f.Name:
			c.add(path+".name", "another entry has the name %q already", textfmt.Clip(f.Name))
		case other.Identity == f.Identity:
			c.add(path+".source", "asks for the same as %q", textfmt.Clip(other.Name))
		}
	}
}

// feed checks one source and what it is asked; it returns nothing where the source
// is not known.
func (c *checker) feed(path, name string, r *feedKeys, b *Backend, sources feedable) []Feed {
	if name == "" || !c.reference(path+".source", name, "source", slices.Sorted(maps.Keys(sources.checked))) {
		return nil
	}
	at := slices.IndexFunc(sources.keys, func(s sourceKeys) bool { return s.Name == name })
	f, kind := Feed{Name: name, Source: name}, sources.keys[at].Type
	if !slices.Contains(kinds(), kind) {
		return nil // the type is at fault
	}
	c.complete(path, r, kind)
	c.onlyFor(path, reflect.TypeFor[feedKeys](), kind, func(reflect.StructField) string {
		return "does not go with a source of type " + kind
	})
	switch kind {
	case "consul":
		c.consulFeed(path, r, &f)
	case "dns":
		c.dnsFeed(path, r, b.Policy.Family, &f)
	case "file":
		f.File = file.Query{Service: r.Service}
		f.Identity = keyOf(r.Service)
	case "nomad":
		c.nomadFeed(path, r, &f)
	}
	source := sources.checked[name]
	f.Identity, f.Key = keyOf(source.identity, f.Identity), keyOf(source.Key, f.Key)
	return []Feed{f}
}

func (c *checker) fixed(path string, r *backendKeys, policy discovery.Policy) Feed {
	if len(r.Endpoints) == 0 {
		c.add(path, "backend %q has neither source, from nor endpoints", textfmt.Clip(r.Name))
	}
	f := Feed{Name: fixedName, Identity: "the configuration", Key: keyOf(r.Endpoints)}
	for i, text := range r.Endpoints {
		here := fmt.Sprintf("%s.endpoints[%d]", path, i)
		if checkEndpoint(text) != nil {
			continue // reported as such
		}
		addr := netip.MustParseAddrPort(text)
		e := discovery.Endpoint{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
		if slices.Contains(f.Endpoints, e) {
			c.add(here, "%s is there twice", e.Addr)
		}
		if reason := policy.Check(e.Addr); reason != "" {
			c.add(here, "%s is refused by the backend's own rules (%s)", e.Addr, strings.ReplaceAll(reason, "_", " "))
		}
		f.Endpoints = append(f.Endpoints, e)
	}
	return f
}

func (c *checker) failover(path string, r *failoverKeys, feeds []Feed) sources.Failover {
	if !c.given(path) {
		return sources.Failover{}
	}
	c.complete(path, r, "")
	var names []string
	for _, f := range feeds {
		names = append(names, f.Name)
	}
	if r.Primary != "" && c.reference(path+".primary", r.Primary, "entry of from", names) && len(names) < 2 {
		c.add(path, "there is no second source to go to")
	}
	return sources.Failover(*r)
}

// trySource reports what a source itself has against what it is asked, unless something of
// path is known to be wrong.
func trySource[C interface{ Source(Q) (S, error) }, Q, S any](c *checker, path string, client C, err error, query Q) {
	if c.faulty(path) {
		return
	}
	if err == nil {
		_, err = client.Source(query)
	}
	c.addError(path, err)
}
