package main

import "github.com/spf13/cobra"

// inlineFlags adds those by which one backend is described instead of a file.
func inlineFlags(cmd *cobra.Command, d *direct) {
	f := cmd.Flags()
	f.StringArrayVar(&d.sockets, "socket", nil, "Runtime API of an HAProxy: path or tcp://host:port (may repeat)")
	f.StringVar(&d.backend, "backend", "", "HAProxy's backend")
	f.StringVar(&d.slots, "slots", "", "prefix of the server-template (default: found)")
	f.StringVar(&d.consul, "consul", "", "`SERVICE` in Consul")
	f.StringVar(&d.consulAddress, "consul-address", "", "Consul's HTTP API (default $CONSUL_HTTP_ADDR, http://127.0.0.1:8500)")
	f.StringVar(&d.dns, "dns", "", "`NAME` of SRV records, or NAME:PORT of address records")
	f.StringArrayVar(&d.dnsServers, "dns-server", nil, "DNS server as ip:port (may repeat; default /etc/resolv.conf)")
	f.StringArrayVar(&d.stateFiles, "state-file", nil, "server-state file to write, with {backend} in it if there is one for each; one for each --socket")
}
