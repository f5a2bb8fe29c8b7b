package main

import (
	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// inlineFlags adds those by which one backend is described instead of a file.
func inlineFlags(cmd *cobra.Command, d *config.Inline) {
	f := cmd.Flags()
	f.StringArrayVar(&d.Sockets, "socket", nil, "Runtime API of an HAProxy: path or tcp://host:port (may repeat)")
	f.StringVar(&d.Backend, "backend", "", "HAProxy's backend")
	f.StringVar(&d.Slots, "slots", "", "prefix of the server-template (default: found)")
	f.StringVar(&d.Consul, "consul", "", "`SERVICE` in Consul")
	f.StringVar(&d.ConsulAddress, "consul-address", "", "Consul's HTTP API (default $CONSUL_HTTP_ADDR, http://127.0.0.1:8500)")
	f.StringVar(&d.DNS, "dns", "", "`NAME` of SRV records, or NAME:PORT of address records")
	f.StringArrayVar(&d.DNSServers, "dns-server", nil, "DNS server as ip:port (may repeat; default /etc/resolv.conf)")
	f.StringArrayVar(&d.StateFiles, "state-file", nil, "server-state file to write, with {backend} in it if there is one for each; one for each --socket")
}
