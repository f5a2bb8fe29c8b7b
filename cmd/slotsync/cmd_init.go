package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/setup"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newInitCommand(a *app) *cobra.Command {
	var o setup.Options
	var dns []string
	var out string
	var port uint16
	var yes bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Propose a configuration for the HAProxy that runs here",
		Long: `Ask a running HAProxy which backends and slots it has, and Consul or DNS which
services there are; propose which backend follows which service, and write a
slotsync.yaml with comments. A service is proposed if the servers that take traffic
now are its instances, or by its name. HAProxy and discovery are only asked: nothing
but the one new file is written, and none that is there already is replaced.

HAProxy's socket is the one that a running HAProxy's configuration names, or one in a
usual place. Consul is at $CONSUL_HTTP_ADDR or http://127.0.0.1:8500, with the other
CONSUL_ variables. With --dns, SRV records _BACKEND._tcp.DOMAIN are looked for, then
addresses of BACKEND.DOMAIN where its servers or --port say the port.`,
		Example: `  sudo slotsync init
  sudo slotsync init --yes --out /etc/slotsync/slotsync.yaml
  slotsync init --socket /run/haproxy/admin.sock --consul http://127.0.0.1:8500
  slotsync init --dns 127.0.0.1:8600 --domain service.consul --out -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(dns) > 0 && o.Source.Address != "":
				return usageErrorf("one of --consul and --dns is enough")
			case len(dns) > 0 && o.Domain == "":
				return usageErrorf("--dns asks for names below a domain: name it with --domain, as in service.consul or example.org")
			case len(dns) > 0:
				o.Source.Type, o.Source.Servers = "dns", dns
			}
			if !yes {
				if !textfmt.IsTerminal(os.Stdin) {
					return usageErrorf("init asks before it writes: run it on a terminal, or with --yes to take what it proposes")
				}
				o.Answer = remote.Lines(cmd.Context(), os.Stdin)
			}
			o.Env, o.Out, o.Port = a.place.Env, a.stdout, int(port)
			if out == "-" {
				o.Out = a.stderr
			}
			o.Domain = strings.Trim(o.Domain, ".")
			r, err := setup.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.propose(r, o.Out, out)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Sockets, "socket", nil, "Runtime API of an HAProxy: path or tcp://host:port (may repeat; default: found)")
	f.StringVar(&o.Source.Address, "consul", "", "Consul's HTTP API (default $CONSUL_HTTP_ADDR, http://127.0.0.1:8500)")
	f.StringArrayVar(&dns, "dns", nil, "DNS server as `IP:PORT`, instead of Consul (may repeat)")
	f.StringVar(&o.Domain, "domain", "", "with --dns, where the names of backends are looked for")
	f.Uint16Var(&port, "port", 0, "with --dns, the port of address records where no server tells it")
	f.StringVar(&out, "out", "slotsync.yaml", "the file to write; - prints it")
	f.BoolVar(&yes, "yes", false, "take what is proposed, ask nothing")
	return cmd
}

// propose writes what was agreed to, and says what comes next.
func (a *app) propose(r setup.Result, talk io.Writer, out string) error {
	r.Advise(talk)
	if !setup.Follows(r.Proposals) {
		return &exitError{code: exitDiffers, err: fmt.Errorf("no backend follows a service yet, so nothing is written: give a backend slots " +
			"(a server-template, as above), reload HAProxy, and run slotsync init again")}
	}
	text := setup.File(r.Instances, r.Source, r.Proposals)
	if out == "-" {
		return a.printFile(string(text))
	}
	if err := setup.Write(out, text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(talk, "\n%s is written. Next:\n  slotsync check --config %s\n  sudo slotsync doctor --config %s\n  sudo slotsync plan --config %s\n", out, out, out, out)
	return err
}
