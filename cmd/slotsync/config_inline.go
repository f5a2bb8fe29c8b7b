package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A direct is one backend that is described on the command line instead of in a
// file.
type direct struct {
	sockets, stateFiles   []string
	backend, slots        string
	consul, consulAddress string
	dns                   string
	dnsServers            []string
}

func (d *direct) empty() bool {
	return len(d.sockets)+len(d.stateFiles)+len(d.dnsServers) == 0 && d.backend+d.slots+d.consul+d.consulAddress+d.dns == ""
}

// document is what a file would say. Values are placed at their flags.
func (d *direct) document() (document, error) {
	switch {
	case len(d.sockets) == 0:
		return document{}, usagef("--socket is missing: the Runtime API of HAProxy, as in /run/haproxy/admin.sock")
	case d.backend == "":
		return document{}, usagef("--backend is missing: the backend of HAProxy to fill")
	case (d.consul == "") == (d.dns == ""):
		return document{}, usagef("one of --consul SERVICE and --dns NAME is needed, and not both")
	case len(d.stateFiles) > 0 && len(d.stateFiles) != len(d.sockets):
		return document{}, usagef("--state-file is given %d times and --socket %d times: one for each, in the same order", len(d.stateFiles), len(d.sockets))
	case d.consul == "" && d.consulAddress != "", d.dns == "" && len(d.dnsServers) > 0:
		return document{}, usagef("--consul-address goes with --consul, and --dns-server with --dns")
	case d.dns != "" && !strings.HasPrefix(d.dns, "_") && !strings.Contains(d.dns, ":"):
		return document{}, usagef("--dns: address records have no port: write it behind the name, as in %s:80", textfmt.Clip(d.dns))
	}
	doc := document{values: map[string]any{}, places: map[string]place{"": {}}}
	d.instances(&doc)
	backend := map[string]any{"name": d.backend, "backend": d.backend}
	doc.places["backends[0].name"] = place{name: "--backend"}
	doc.places["backends[0].backend"] = place{name: "--backend"}
	if d.slots != "" {
		backend["slots"] = d.slots
		doc.places["backends[0].slots"] = place{name: "--slots"}
	}
	source := map[string]any{}
	d.source(&doc, source, backend)
	doc.values["sources"] = []any{source}
	doc.values["backends"] = []any{backend}
	return doc, nil
}

func (d *direct) instances(doc *document) {
	var list []any
	for i, socket := range d.sockets {
		name := "haproxy"
		if len(d.sockets) > 1 {
			name = fmt.Sprintf("haproxy-%d", i+1)
		}
		instance := map[string]any{"name": name, "socket": socket}
		path := fmt.Sprintf("haproxy.instances[%d]", i)
		doc.places[path+".socket"] = place{name: "--socket"}
		if len(d.stateFiles) > 0 {
			instance["state_file"] = d.stateFiles[i]
			doc.places[path+".state_file"] = place{name: "--state-file"}
		}
		list = append(list, instance)
	}
	doc.values["haproxy"] = map[string]any{"instances": list}
}

// source describes the source and what is asked of it.
func (d *direct) source(doc *document, source, backend map[string]any) {
	if d.consul != "" {
		source["name"], source["type"] = "consul", "consul"
		if d.consulAddress != "" { // else Consul's own variables say it
			source["address"] = d.consulAddress
			doc.places["sources[0].address"] = place{name: "--consul-address"}
		}
		backend["source"], backend["service"] = "consul", d.consul
		doc.places["backends[0].service"] = place{name: "--consul"}
		return
	}
	source["name"], source["type"] = "dns", "dns"
	servers := make([]any, len(d.dnsServers))
	for i, server := range d.dnsServers {
		servers[i] = server
		doc.places[fmt.Sprintf("sources[0].servers[%d]", i)] = place{name: "--dns-server"}
	}
	source["servers"] = servers
	backend["source"] = "dns"
	doc.places["backends[0].record"] = place{name: "--dns"}
	name, port, err := net.SplitHostPort(d.dns)
	if err != nil && strings.HasPrefix(d.dns, "_") {
		backend["record"] = d.dns
		return
	}
	if err != nil {
		name = d.dns
	}
	backend["record"] = name
	n, _ := strconv.Atoi(port) // 0 is refused with the others
	backend["port"] = n
	doc.places["backends[0].port"] = place{name: "--dns"}
}

// config is the whole configuration: what the flags do not say is of env, or the default.
func (d *direct) config(env environment) (*config, error) {
	doc, err := d.document()
	if err != nil {
		return nil, err
	}
	return newConfig("", doc, nil, env)
}
