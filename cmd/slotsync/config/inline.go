package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// An Inline is one backend that is described on the command line instead of in a
// file.
type Inline struct {
	Sockets, StateFiles   []string
	Backend, Slots        string
	Consul, ConsulAddress string
	DNS                   string
	DNSServers            []string
}

// Empty reports whether nothing is described.
func (d *Inline) Empty() bool {
	return len(d.Sockets)+len(d.StateFiles)+len(d.DNSServers) == 0 && d.Backend+d.Slots+d.Consul+d.ConsulAddress+d.DNS == ""
}

// document is what a file would say. Values are placed at their flags.
func (d *Inline) document() (document, error) {
	switch {
	case len(d.Sockets) == 0:
		return document{}, Usagef("--socket is missing: the Runtime API of HAProxy, as in /run/haproxy/admin.sock")
	case d.Backend == "":
		return document{}, Usagef("--backend is missing: the backend of HAProxy to fill")
	case (d.Consul == "") == (d.DNS == ""):
		return document{}, Usagef("one of --consul SERVICE and --dns NAME is needed, and not both")
	case len(d.StateFiles) > 0 && len(d.StateFiles) != len(d.Sockets):
		return document{}, Usagef("--state-file is given %d times and --socket %d times: one for each, in the same order", len(d.StateFiles), len(d.Sockets))
	case d.Consul == "" && d.ConsulAddress != "", d.DNS == "" && len(d.DNSServers) > 0:
		return document{}, Usagef("--consul-address goes with --consul, and --dns-server with --dns")
	case d.DNS != "" && !strings.HasPrefix(d.DNS, "_") && !strings.Contains(d.DNS, ":"):
		return document{}, Usagef("--dns: address records have no port: write it behind the name, as in %s:80", textfmt.Clip(d.DNS))
	}
	doc := document{values: map[string]any{}, places: map[string]place{"": {}}, unset: map[string]bool{}}
	d.instances(&doc)
	backend := map[string]any{"name": d.Backend, "backend": d.Backend}
	doc.places["backends[0].name"] = place{name: "--backend"}
	doc.places["backends[0].backend"] = place{name: "--backend"}
	if d.Slots != "" {
		backend["slots"] = d.Slots
		doc.places["backends[0].slots"] = place{name: "--slots"}
	}
	source := map[string]any{}
	d.source(&doc, source, backend)
	doc.values["sources"] = []any{source}
	doc.values["backends"] = []any{backend}
	return doc, nil
}

func (d *Inline) instances(doc *document) {
	var list []any
	for i, socket := range d.Sockets {
		name := "haproxy"
		if len(d.Sockets) > 1 {
			name = fmt.Sprintf("haproxy-%d", i+1)
		}
		instance := map[string]any{"name": name, "socket": socket}
		path := fmt.Sprintf("haproxy.instances[%d]", i)
		doc.places[path+".socket"] = place{name: "--socket"}
		if len(d.StateFiles) > 0 {
			instance["state_file"] = d.StateFiles[i]
			doc.places[path+".state_file"] = place{name: "--state-file"}
		}
		list = append(list, instance)
	}
	doc.values["haproxy"] = map[string]any{"instances": list}
}

// source describes the source and what is asked of it.
func (d *Inline) source(doc *document, source, backend map[string]any) {
	if d.Consul != "" {
		source["name"], source["type"] = "consul", "consul"
		if d.ConsulAddress != "" { // else Consul's own variables say it
			source["address"] = d.ConsulAddress
			doc.places["sources[0].address"] = place{name: "--consul-address"}
		}
		backend["source"], backend["service"] = "consul", d.Consul
		doc.places["backends[0].service"] = place{name: "--consul"}
		return
	}
	source["name"], source["type"] = "dns", "dns"
	servers := make([]any, len(d.DNSServers))
	for i, server := range d.DNSServers {
		servers[i] = server
		doc.places[fmt.Sprintf("sources[0].servers[%d]", i)] = place{name: "--dns-server"}
	}
	source["servers"] = servers
	backend["source"] = "dns"
	doc.places["backends[0].record"] = place{name: "--dns"}
	name, port, err := net.SplitHostPort(d.DNS)
	if err != nil && strings.HasPrefix(d.DNS, "_") {
		backend["record"] = d.DNS
		return
	}
	if err != nil {
		name = d.DNS
	}
	backend["record"] = name
	n, _ := strconv.Atoi(port) // 0 is refused with the others
	backend["port"] = n
	doc.places["backends[0].port"] = place{name: "--dns"}
}

// Load returns the whole configuration: what the flags do not say is of env, or the default.
func (d *Inline) Load(env Environment) (*Config, error) {
	doc, err := d.document()
	if err != nil {
		return nil, err
	}
	return fromDocument("", doc, nil, env)
}
