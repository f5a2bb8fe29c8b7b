package consul

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery"
)

const (
	serfHealth = "serfHealth" // the check by which Consul watches a node's agent
	maxWeight  = 65535        // what Consul allows
)

// An entry is one instance. Only what is used is decoded, so that nothing else
// in it can spoil the list; what few ask for stays as it came until they do.
type entry struct {
	Node *struct {
		Address         string
		TaggedAddresses json.RawMessage // an address by tag
	}
	Service *struct {
		ID, Address          string
		Namespace, Partition string // empty where Consul is not Enterprise
		Port                 int
		Ports                json.RawMessage // a list of [api.ServicePort]; since 1.22
		TaggedAddresses      json.RawMessage // an [api.ServiceAddress] by tag
		Weights              api.AgentWeights
	}
	Checks []*check
}

type check struct{ CheckID, Status string }

// reading turns entries into endpoints, one by one: one that is not fit to be an
// endpoint does not spoil the others. If none is, something is wrong with all of
// them, and the reading removes nothing.
func (q Query) reading(r reply) discovery.Reading {
	var out discovery.Reading
	var part discovery.Part
	for _, e := range r.entries {
		at, reason := q.address(e)
		endpoint := discovery.Endpoint{}
		if reason == "" {
			endpoint, reason = q.endpoint(e, at)
		}
		if reason == "" {
			part.Endpoints = append(part.Endpoints, endpoint)
			continue
		}
		out.Rejected = append(out.Rejected, discovery.Rejection{
			Reason: reason, Name: discovery.Printable(e.Service.ID, 100), Value: discovery.Printable(at.String(), 100),
		})
	}
	if len(part.Endpoints) == 0 && len(out.Rejected) > 0 {
		part.State, part.Why = discovery.Partial, "every instance is refused"
	}
	part.Endpoints = discovery.Normalize(part.Endpoints)
	out.Parts, out.Note = []discovery.Part{part}, r.note()
	return out
}

// endpoint returns e, which is at an address, as an endpoint, or why it cannot be
// one.
func (q Query) endpoint(e entry, at address) (discovery.Endpoint, string) {
	addr, reason := discovery.Parse(at.host, at.port)
	if reason != "" {
		return discovery.Endpoint{}, reason
	}
	status, why := aggregate(e.Checks, q.IgnoreNodeHealth)
	out := discovery.Endpoint{Addr: addr, Name: discovery.Printable(e.Service.ID, 100)}
	out.State, out.Reason = q.state(status), why
	weight, named := weigh(e.Service.Weights, status)
	out.Weight = weight
	if named && weight == 0 && out.State == discovery.Ready {
		out.State, out.Reason = discovery.Drain, "weight 0"
	}
	if out.State == discovery.Ready {
		out.Reason = ""
	}
	return out, ""
}

// aggregate is the worst of what checks say: maintenance, then critical, warning
// and passing, which is also that of none. What is not known is critical.
func aggregate(checks []*check, ignoreNode bool) (status, why string) {
	status = api.HealthPassing
	node, service := false, false // which kind is critical
	for _, c := range checks {
		switch {
		case c == nil:
			service = true
		case c.CheckID == api.NodeMaint || strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix):
			return api.HealthMaint, "maintenance"
		case c.CheckID == serfHealth && ignoreNode || c.Status == api.HealthPassing:
		case c.Status == api.HealthWarning:
			status = api.HealthWarning
		case c.CheckID == serfHealth:
			node = true
		default:
			service = true
		}
	}
	switch {
	case service:
		return api.HealthCritical, "critical"
	case node:
		return api.HealthCritical, "node critical"
	case status == api.HealthWarning:
		return status, "warning"
	}
	return status, ""
}

func (q Query) state(status string) discovery.State {
	switch {
	case status == api.HealthMaint:
		return discovery.Drain
	case status == api.HealthCritical && q.Health != Any:
		return discovery.Down
	case status == api.HealthWarning && q.Health == Passing:
		return discovery.Drain
	}
	return discovery.Ready
}

// weigh returns the weight for an instance of that status. Consul does not
// register a passing weight of 0: without one, none is named.
func weigh(w api.AgentWeights, status string) (weight int, named bool) {
	if w.Passing == 0 && w.Warning == 0 {
		return 0, false
	}
	weight = w.Passing
	if status == api.HealthWarning {
		weight = w.Warning
	}
	return min(max(weight, 0), maxWeight), true
}

// An address is where an instance says that it is reached. It may be unfit for an
// endpoint.
type address struct {
	host string
	port int
}

func (a address) String() string { return fmt.Sprintf("%s port %d", a.host, a.port) }

// address returns where e is reached. The reason is not "" if that cannot be read.
//
//	address: that of the tag, of the service or else its node; the service's; the node's
//	port:    the one of the name; that of the tag; the service's; its default one; the query's
func (q Query) address(e entry) (at address, reason string) {
	tagged, err := q.tagged(e)
	named, usual, err2 := q.ports(e)
	if err != nil || err2 != nil {
		reason = discovery.Incomplete
	}
	at.host = cmp.Or(tagged.Address, e.Service.Address, e.Node.Address)
	at.port = cmp.Or(named, tagged.Port, e.Service.Port, usual, q.DefaultPort)
	return at, reason
}

// tagged returns the address that q names, and its port if it has one. That of
// the node stands for the node's own address: a service which is registered at
// another one, as in a container, is not there.
func (q Query) tagged(e entry) (at api.ServiceAddress, err error) {
	if q.AddressTag == "" {
		return at, nil
	}
	var ofService map[string]api.ServiceAddress
	var ofNode map[string]string
	if err := cmp.Or(unmarshal(e.Service.TaggedAddresses, &ofService), unmarshal(e.Node.TaggedAddresses, &ofNode)); err != nil {
		return at, err
	}
	at = ofService[q.AddressTag]
	own := e.Service.Address
	if at.Address == "" && (own == "" || own == e.Node.Address || slices.Contains(slices.Collect(maps.Values(ofNode)), own)) {
		at.Address = ofNode[q.AddressTag]
	}
	return at, nil
}

// noPort is refused like any other number that is none of a port, and not
// replaced by another.
const noPort = -1

// ports returns, of an instance that has several, the port that q names and the
// one that is used without a name; 0 where there is none. A name that such an
// instance does not have is noPort: its other ports are other services.
func (q Query) ports(e entry) (named, usual int, err error) {
	if q.PortName == "" && e.Service.Port != 0 {
		return 0, 0, nil
	}
	var list []api.ServicePort
	if err := unmarshal(e.Service.Ports, &list); err != nil || len(list) == 0 {
		return 0, 0, err
	}
	if q.PortName != "" {
		named = noPort
	}
	for _, p := range list {
		switch {
		case p.Name == q.PortName && q.PortName != "":
			named = p.Port
		case p.Default:
			usual = p.Port
		}
	}
	return named, usual, nil
}

// unmarshal is json.Unmarshal, for what may be missing.
func unmarshal(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, into)
}
