package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/discovery/nomad"
)

// A Source is one discovery system. Exactly one of Consul, DNS, File and
// Nomad is set.
type Source struct {
	Consul *consul.Options // without token and auth, as Nomad
	DNS    *dns.Options
	File   *file.Options
	Nomad  *nomad.Options
	// TokenFile is what the configuration or the environment names, Token and Auth are of the
	// environment; for Consul and Nomad.
	TokenFile, Token, Auth string
	// identity says who is asked, key also how.
	identity, Key string
}

func kinds() []string {
	f, _ := fieldOf(reflect.TypeFor[sourceKeys](), "type")
	return words(f, "enum")
}

// sources checks all of them, and completes them by what the environment says.
func (c *checker) sources(keys []sourceKeys) map[string]Source {
	all := map[string]Source{}
	first := map[string]int{}
	for i := range keys {
		r := &keys[i]
		path := fmt.Sprintf("sources[%d]", i)
		if j, ok := first[r.Name]; ok && r.Name != "" {
			c.add(path+".name", "sources[%d] has the name %q already", j, textfmt.Clip(r.Name))
			continue
		}
		first[r.Name] = i
		all[r.Name] = c.source(path, r)
	}
	return all
}

func (c *checker) source(path string, r *sourceKeys) Source {
	var s Source
	if slices.Contains(kinds(), r.Type) {
		c.onlyFor(path, reflect.TypeFor[sourceKeys](), r.Type, func(f reflect.StructField) string {
			return "is for sources of type " + strings.Join(words(f, "for"), " and ")
		})
	}
	switch r.Type {
	case "consul":
		c.consul(path, r, &s)
	case "dns":
		c.dns(path, r, &s)
	case "file":
		c.files(path, r, &s)
	case "nomad":
		c.nomad(path, r, &s)
	default:
		c.complete(path, r, "")
	}
	return s
}
