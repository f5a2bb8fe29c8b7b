package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
)

// A Source is one discovery system. Exactly one of Consul, DNS, File and
// Nomad is set.
type Source struct {
	name   string
	Consul *Consul
	DNS    *dns.Options
	File   *file.Options
	Nomad  *Nomad
	// identity says who is asked, key also how.
	identity, Key string
}

// kinds are the types of source.
func kinds() []string { return []string{"consul", "dns", "file", "nomad"} }

// sources checks all of them, and fills raw with what the environment says.
func (c *checker) sources(raw []rawSource) map[string]Source {
	all := map[string]Source{}
	first := map[string]int{}
	for i := range raw {
		r := &raw[i]
		path := fmt.Sprintf("sources[%d]", i)
		c.name(path+".name", r.Name)
		if j, ok := first[r.Name]; ok && r.Name != "" {
			c.add(path+".name", "sources[%d] has the name %q already", j, textfmt.Clip(r.Name))
			continue
		}
		first[r.Name] = i
		s := Source{name: r.Name}
		c.onlyFor(path, r.Type)
		switch r.Type {
		case "consul":
			c.consul(path, r, &s)
		case "dns":
			c.dns(path, r, &s)
		case "file":
			c.files(path, r, &s)
		case "nomad":
			c.nomad(path, r, &s)
		case "":
			c.add(path+".type", "is missing: one of %s", strings.Join(kinds(), ", "))
		default:
			c.add(path+".type", "%q is none of %s%s", textfmt.Clip(r.Type), strings.Join(kinds(), ", "), textfmt.DidYouMean(r.Type, kinds()))
		}
		all[r.Name] = s
	}
	return all
}

// onlyFor refuses keys that mean nothing for this type of source.
func (c *checker) onlyFor(path, kind string) {
	if !slices.Contains(kinds(), kind) {
		return
	}
	for _, known := range []struct {
		kinds []string
		keys  []string
	}{
		{[]string{"consul", "nomad"}, []string{"address", "token_file", "namespace", "wait", "poll_interval", "tls"}},
		{[]string{"consul"}, []string{"datacenter", "partition", "consistency", "max_stale"}},
		{[]string{"nomad"}, []string{"region"}},
		{[]string{"dns"}, []string{"servers", "tcp", "search", "timeout", "min_refresh", "max_refresh", "answers", "hold_obsolete"}},
		{[]string{"file"}, []string{"path"}},
	} {
		for _, key := range known.keys {
			if c.given(path+"."+key) && !slices.Contains(known.kinds, kind) {
				c.add(path+"."+key, "is for sources of type %s", strings.Join(known.kinds, " and "))
			}
		}
	}
}
