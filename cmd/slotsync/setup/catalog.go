package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
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

// A Catalog is a discovery system that can list its services.
type Catalog interface {
	// Services returns the names of all services.
	Services(ctx context.Context) ([]string, error)
	// Endpoints returns what is listed by one name.
	Endpoints(ctx context.Context, name string) ([]discovery.Endpoint, error)
}

const (
	// maxAsked bounds how many services are asked for their addresses.
	maxAsked = 200
	// atOnce bounds how many of these questions are under way.
	atOnce = 8
	// nameTime bounds one question.
	nameTime = 3 * time.Second
)

// Names returns the services that c knows, with the addresses of the first 200: those whose
// names are like a backend's first. A service whose addresses cannot be had has none.
func Names(ctx context.Context, c Catalog, backends []Backend) ([]Service, error) {
	names, err := c.Services(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Service, 0, len(names))
	for _, name := range names {
		list = append(list, Service{Name: name})
	}
	slices.SortStableFunc(list, func(a, b Service) int { return alike(b, backends) - alike(a, backends) })
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range list[:min(len(list), maxAsked)] {
		group.Go(func() error {
			list[i].Addresses, _ = addresses(ctx, c, list[i].Name)
			return nil
		})
	}
	_ = group.Wait() // which has no error
	return list, ctx.Err()
}

// alike returns how much the name of s is like that of any backend.
func alike(s Service, backends []Backend) (most int) {
	for _, b := range backends {
		n, _ := likeness(b, s)
		most = max(most, n)
	}
	return most
}

func addresses(ctx context.Context, c Catalog, name string) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	eps, err := c.Endpoints(ctx, name)
	if err != nil {
		return nil, err
	}
	list := []netip.AddrPort{}
	for _, e := range eps {
		list = append(list, e.Addr)
	}
	return list, nil
}

// A Resolver answers what a name of SRV or, with a port, address records lists.
type Resolver func(ctx context.Context, record string, port int) ([]discovery.Endpoint, error)

// proposeAllDNS asks for each backend with slots for the names that it may have below domain:
// SRV records first, then address records where the port is known from its servers, or port
// says it.
func proposeAllDNS(ctx context.Context, ask Resolver, domain string, port int, backends []Backend) ([]Proposal, error) {
	list := make([]Proposal, len(backends))
	failed := make([]error, len(backends))
	var wg sync.WaitGroup
	for i, b := range backends {
		wg.Go(func() { list[i], failed[i] = proposeDNS(ctx, ask, domain, port, b) })
	}
	wg.Wait()
	if !slices.Contains(failed, nil) {
		return list, errors.Join(failed...)
	}
	return list, ctx.Err()
}

func proposeDNS(ctx context.Context, ask Resolver, domain string, port int, b Backend) (Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*nameTime)
	defer cancel()
	var errs []error
	try := func(record string, port int) (Proposal, bool) {
		eps, err := ask(ctx, record, port)
		if err != nil {
			errs = append(errs, err)
		}
		if len(eps) == 0 {
			return Proposal{}, false
		}
		return Proposal{Backend: b, Service: record, Port: port, Why: record + " has " + textfmt.Count(len(eps), "endpoint")}, true
	}
	names := []string{b.Proxy}
	if other := bare(b.Proxy); other != b.Proxy && other != "" {
		names = append(names, other)
	}
	for _, name := range names {
		if p, ok := try("_"+name+"._tcp."+domain, 0); ok {
			return p, nil
		}
		if port := cmp.Or(onePort(b.Live), port); port > 0 {
			if p, ok := try(name+"."+domain, port); ok {
				return p, nil
			}
		}
	}
	return Proposal{Backend: b}, errors.Join(errs...)
}

// onePort returns the port that all addresses have, 0 if there is no such one.
func onePort(list []netip.AddrPort) int {
	port := 0
	for _, a := range list {
		if port != 0 && int(a.Port()) != port {
			return 0
		}
		port = int(a.Port())
	}
	return port
}
