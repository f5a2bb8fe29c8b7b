package config

import (
	"fmt"
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
	return d.values(), nil
}

func (d *Inline) values() document {
	doc := document{values: map[string]any{}, places: map[string]place{"": {}}, unset: map[string]bool{}}
	// put sets a key of a mapping at path to what a flag says.
	put := func(mapping map[string]any, path, key string, value any, flag string) {
		mapping[key], doc.places[join(path, key)] = value, place{name: flag}
	}
	var instances []any
	for i, socket := range d.Sockets {
		path, in := fmt.Sprintf("haproxy.instances[%d]", i), map[string]any{"name": "haproxy"}
		if len(d.Sockets) > 1 {
			in["name"] = fmt.Sprintf("haproxy-%d", i+1)
		}
		put(in, path, "socket", socket, "--socket")
		if len(d.StateFiles) > 0 {
			put(in, path, "state_file", d.StateFiles[i], "--state-file")
		}
		instances = append(instances, in)
	}
	source, backend := map[string]any{"name": "consul", "type": "consul"}, map[string]any{"source": "consul"}
	put(backend, "backends[0]", "name", d.Backend, "--backend")
	put(backend, "backends[0]", "backend", d.Backend, "--backend")
	if d.Slots != "" {
		put(backend, "backends[0]", "slots", d.Slots, "--slots")
	}
	if d.ConsulAddress != "" { // else Consul's own variables say it
		put(source, "sources[0]", "address", d.ConsulAddress, "--consul-address")
	}
	if d.DNS == "" {
		put(backend, "backends[0]", "service", d.Consul, "--consul")
	} else {
		source["name"], source["type"], source["servers"], backend["source"] = "dns", "dns", d.DNSServers, "dns"
		for i := range d.DNSServers {
			doc.places[fmt.Sprintf("sources[0].servers[%d]", i)] = place{name: "--dns-server"}
		}
		record, port, _ := strings.Cut(d.DNS, ":")
		put(backend, "backends[0]", "record", record, "--dns")
		if port != "" || !strings.HasPrefix(record, "_") {
			n, _ := strconv.Atoi(port) // 0 is refused with the others
			put(backend, "backends[0]", "port", n, "--dns")
		}
	}
	doc.values["haproxy"] = map[string]any{"instances": instances}
	doc.values["sources"], doc.values["backends"] = []any{source}, []any{backend}
	return doc
}

// Load returns the whole configuration: what the flags do not say is of env, or the default.
func (d *Inline) Load(env Environment) (*Config, error) {
	doc, err := d.document()
	if err != nil {
		return nil, err
	}
	cfg, _, err := validate("", doc, nil, env)
	return cfg, err
}
