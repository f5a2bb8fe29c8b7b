package setup

import (
	"context"
	"fmt"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
)

// A system is Consul or DNS, as a configuration would ask it.
type system struct {
	cfg *config.Config
	w   daemon.Wiring
}

// open makes the system of a source, with what the environment says of it.
func open(source Source, env config.Environment) (system, error) {
	d := config.Inline{Sockets: []string{"/nowhere"}, Backend: "any", ConsulAddress: source.Address, DNSServers: source.Servers}
	if source.Type == "consul" {
		d.Consul = "any"
	} else {
		d.DNS = "_any._tcp.invalid"
	}
	cfg, err := d.Load(env)
	if err != nil {
		return system{}, err
	}
	w, err := daemon.Wire(cfg, nil)
	return system{cfg, w}, err
}

// openCatalog returns Consul at the address, or where the environment says.
func openCatalog(source Source, env config.Environment) (Catalog, error) { return open(source, env) }

// openResolver returns the DNS servers, or those of this machine.
func openResolver(source Source, env config.Environment) (Resolver, error) {
	s, err := open(source, env)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, record string, port int) ([]discovery.Endpoint, error) {
		return s.ask(ctx, config.Feed{Source: "dns", DNS: dns.Query{Record: record, Port: uint16(port)}})
	}, nil
}

// Services implements [Catalog].
func (s system) Services(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*nameTime)
	defer cancel()
	return s.w.Systems.Services(ctx, s.cfg.Sources["consul"])
}

// Endpoints implements [Catalog].
func (s system) Endpoints(ctx context.Context, name string) ([]discovery.Endpoint, error) {
	return s.ask(ctx, config.Feed{Source: "consul", Consul: consul.Query{Service: name}})
}

func (s system) ask(ctx context.Context, f config.Feed) ([]discovery.Endpoint, error) {
	source, err := s.w.Systems.Source(s.cfg, f)
	if err != nil {
		return nil, err
	}
	reading, err := source.Next(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return reading.Endpoints(), nil
}
