package consul

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/consul/api"
	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery"
)

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
