package consul

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// Which instances are ready; see [Query.Health].
const (
	Warning = "warning"
	Passing = "passing"
	Any     = "any"
)

// A Query says which service is watched, which of its instances are meant and
// ready, and where they are reached.
type Query struct {
	// Service is the name of the service. It is required.
	Service string
	// Datacenter is asked instead of [Options.Datacenter] if it is not empty.
	Datacenter string
	// Tags must all be there.
	Tags []string
	// NodeMeta lists what must be in the metadata of an instance's node, as
	// KEY:VALUE.
	NodeMeta []string
	// Filter is an expression in Consul's filter language; empty: none.
	Filter string
	// AddressTag names the tagged address at which instances are reached, as in
	// lan, wan or lan_ipv4: that of the service, else that of its node if it is
	// registered at its node's address, else the address without a tag. Empty: the
	// latter.
	AddressTag string
	// PortName picks one port of services that have several. Instances that name
	// no ports have one, which is taken. Empty: the default port of each.
	PortName string
	// DefaultPort is the port of instances that are registered without one; 0:
	// they are refused.
	DefaultPort int
	// Health is Warning (also if empty): passing instances and those in warning
	// are ready; Passing: those in warning are drained; Any: critical ones are
	// ready as well. Maintenance always drains.
	Health string
	// IgnoreNodeHealth leaves out serfHealth, by which Consul says that it lost
	// the node's agent, which is not the service.
	IgnoreNodeHealth bool
}

// Source returns a source for q, or what is wrong with q. Each source may be
// watched once at a time.
func (c *Client) Source(q Query) (*Source, error) {
	if err := checkService(q.Service); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("service %s: %w", q.Service, err)
	}
	a := &adapter{client: c, query: q.canonical()}
	return &Source{longpoll.NewSource(c.http, a), a}, nil
}

// canonical returns q such that equal questions have equal URLs, and so share
// one view in the agent.
func (q Query) canonical() Query {
	q.Health = cmp.Or(q.Health, Warning)
	q.Tags = slices.Compact(slices.Sorted(slices.Values(q.Tags)))
	q.NodeMeta = slices.Compact(slices.Sorted(slices.Values(q.NodeMeta)))
	return q
}

func (q Query) check() error {
	if err := checkNodeMeta(q.NodeMeta); err != nil {
		return err
	}
	notTag := func(tag string) bool {
		return tag == "" || len(tag) > 255 || strings.ContainsFunc(tag, unicode.IsControl)
	}
	i := slices.IndexFunc(q.Tags, notTag)
	switch {
	case i >= 0:
		return fmt.Errorf("%q is not a tag", discovery.Printable(q.Tags[i], 20))
	case q.Datacenter != "" && !isLabel(q.Datacenter):
		return fmt.Errorf("datacenter %q is not a name: letters, digits, - and _, 64 at most", discovery.Printable(q.Datacenter, 70))
	case q.AddressTag != "" && !isWord(q.AddressTag):
		return fmt.Errorf("%q cannot be the tag of an address", discovery.Printable(q.AddressTag, 20))
	case q.PortName != "" && !isWord(q.PortName):
		return fmt.Errorf("%q cannot be the name of a port", discovery.Printable(q.PortName, 20))
	case q.DefaultPort < 0 || q.DefaultPort > 65535:
		return fmt.Errorf("default port %d is not within 0..65535", q.DefaultPort)
	case len(q.Filter) > maxFilter || strings.ContainsFunc(q.Filter, notText):
		return fmt.Errorf("the filter has characters that no filter has, or more than %d", maxFilter)
	case q.Health != "" && !slices.Contains([]string{Warning, Passing, Any}, q.Health):
		return fmt.Errorf("health %q is not one of warning, passing, any", q.Health)
	}
	return nil
}

// maxFilter is what fits into a URL that agents and proxies accept.
const maxFilter = 4096

func checkNodeMeta(pairs []string) error {
	seen := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, ":")
		if !ok || !isLabelOf(key, 128) || len(value) > 512 || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("node_meta %q is not KEY:VALUE", discovery.Printable(pair, 60))
		}
		if other, twice := seen[key]; twice && other != value {
			return fmt.Errorf("node_meta: a node cannot have two values of %s", key) // Consul would take the last
		}
		seen[key] = value
	}
	return nil
}

// checkService refuses names that would not be one segment of a path.
func checkService(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the service has no name")
	case len(name) > 128:
		return fmt.Errorf("the service name %s is longer than 128 bytes", discovery.Printable(name, 20))
	case name == "." || name == ".." || strings.ContainsAny(name, `/\?#%`) || !isWord(name):
		return fmt.Errorf("%q cannot be the name of a service", name)
	}
	return nil
}

// isLabel reports whether s can be the name of a datacenter, a namespace or a
// partition.
func isLabel(s string) bool { return isLabelOf(s, 64) }

func isLabelOf(s string, most int) bool {
	strange := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, strange)
}

// isWord reports whether s is printable, without blanks, and not too long.
func isWord(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

func notText(r rune) bool {
	return r != '\n' && r != '\t' && (r == unicode.ReplacementChar || unicode.IsControl(r))
}

// datacenter returns the one that q is asked of; empty: the agent's own.
func (c *Client) datacenter(q Query) string { return cmp.Or(q.Datacenter, c.opts.Datacenter) }
