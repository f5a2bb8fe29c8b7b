package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/reload"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// A wiring is everything that a configuration names, made and not yet started.
type wiring struct {
	clients []*haproxy.Client  // in the order of the instances
	sources []discovery.Source // in the order of the backends
	// transactions are in the order of the reloads
	transactions []*reload.Transaction
}

// wire makes the clients of all instances and sources. It connects to nothing,
// and reads the files of tokens and certificates.
func (cfg *config) wire(env environment) (wiring, error) {
	var w wiring
	for _, in := range cfg.instances {
		c, err := haproxy.New(haproxy.Options{Socket: in.socket, Timeout: cfg.timeout, StateFile: in.stateFile})
		if err != nil {
			return w, usageErrorf("instance %s: %w", in.name, err)
		}
		w.clients = append(w.clients, c)
	}
	if err := cfg.wireReloads(&w); err != nil {
		return w, err
	}
	systems := map[string]asker{}
	for name, s := range cfg.sources {
		ask, err := s.open(env)
		if err != nil {
			return w, usageErrorf("source %s: %w", name, err)
		}
		systems[name] = ask
	}
	for _, b := range cfg.backends {
		source, err := b.open(systems)
		if err != nil {
			return w, usageErrorf("backend %s: %w", b.name, err)
		}
		w.sources = append(w.sources, source)
	}
	return w, nil
}

// An asker makes the source of a backend.
type asker func(b backendConfig) (discovery.Source, error)

func (s sourceConfig) open(env environment) (asker, error) {
	if s.dns != nil {
		client, err := dns.NewClient(*s.dns)
		if err != nil {
			return nil, err
		}
		return func(b backendConfig) (discovery.Source, error) { return client.Source(b.dns) }, nil
	}
	options, err := s.consulOptions(env)
	if err != nil {
		return nil, err
	}
	client, err := consul.NewClient(options)
	if err != nil {
		return nil, err
	}
	return func(b backendConfig) (discovery.Source, error) { return client.Source(b.consul) }, nil
}

// consulOptions adds what Consul's own variables say where the configuration
// says nothing.
func (s sourceConfig) consulOptions(env environment) (consul.Options, error) {
	o := *s.consul
	if o.Address == "" {
		o.Address = consulAddress(env)
	}
	o.TLS.CAFile = cmp.Or(o.TLS.CAFile, env["CONSUL_CACERT"])
	if o.TLS.CertFile == "" {
		o.TLS.CertFile, o.TLS.KeyFile = env["CONSUL_CLIENT_CERT"], env["CONSUL_CLIENT_KEY"]
	}
	o.TLS.ServerName = cmp.Or(o.TLS.ServerName, env["CONSUL_TLS_SERVER_NAME"])
	if env["CONSUL_HTTP_SSL_VERIFY"] == "false" || env["CONSUL_HTTP_SSL_VERIFY"] == "0" {
		o.TLS.InsecureSkipVerify = true
	}
	path := s.tokenFile
	if path == "" && env["CONSUL_HTTP_TOKEN"] != "" {
		token := env["CONSUL_HTTP_TOKEN"]
		o.Token = func() string { return token }
		return o, nil
	}
	if path = cmp.Or(path, env["CONSUL_HTTP_TOKEN_FILE"]); path == "" {
		return o, nil
	}
	file, err := consul.NewTokenFile(path)
	if err != nil {
		return o, err
	}
	o.Token, o.Denied = file.Token, file.Reread
	return o, nil
}

func consulAddress(env environment) string {
	addr := cmp.Or(env["CONSUL_HTTP_ADDR"], "127.0.0.1:8500")
	if strings.Contains(addr, "://") {
		return addr
	}
	if env["CONSUL_HTTP_SSL"] == "true" || env["CONSUL_HTTP_SSL"] == "1" {
		return "https://" + addr
	}
	return "http://" + addr
}

func (b backendConfig) open(systems map[string]asker) (discovery.Source, error) {
	if b.source == "" {
		return discovery.Static(b.endpoints), nil
	}
	ask, ok := systems[b.source]
	if !ok {
		return nil, fmt.Errorf("there is no source %q", b.source)
	}
	return ask(b)
}

// options are what the agent is told.
func (cfg *config) options(w wiring, log *slog.Logger, m *metrics.Metrics) agent.Options {
	o := agent.Options{Timeout: cfg.timeout, Poll: cfg.poll, Resync: cfg.resync, StateDir: cfg.stateDir, Log: log, Metrics: m}
	for i, in := range cfg.instances {
		o.Instances = append(o.Instances, agent.Instance{Name: in.name, Conn: w.clients[i], Key: in.key})
	}
	for i, b := range cfg.backends {
		o.Backends = append(o.Backends, b.options(w.sources[i]))
	}
	for i, r := range cfg.reloads {
		o.Reloads = append(o.Reloads, r.options(w.transactions[i]))
	}
	return o
}

func (b backendConfig) options(source discovery.Source) agent.Backend {
	leave := slots.Maint
	if b.drainFirst {
		leave = slots.Drain
	}
	identity := ""
	if b.source == "" {
		identity = "the configuration" // which may drop what it listed before
	}
	return agent.Backend{
		Name: b.name, Proxy: b.proxy, Prefix: b.prefix, Instances: b.instances,
		Feeds:   []agent.Feed{{Name: cmp.Or(b.source, "endpoints"), Source: source, Key: b.key, Identity: identity}},
		Dynamic: b.dynamic, DynamicOptions: b.dynamicOptions, MaxSlots: b.maxSlots,
		Guard: b.guard, Leave: leave, Drain: b.drain, RepairExternal: b.repairExternal,
	}
}

// newMetrics makes the metrics of one agent, and what gathers them.
func newMetrics() (*prometheus.Registry, *metrics.Metrics) {
	registry := prometheus.NewRegistry()
	return registry, metrics.New(registry, version, metricLists())
}

// metricLists are the label values that other packages own.
func metricLists() metrics.Lists {
	lists := metrics.Lists{Reasons: discovery.Reasons[:]}
	for _, class := range discovery.Classes {
		lists.Classes = append(lists.Classes, string(class))
	}
	for _, kind := range slots.Kinds {
		lists.Kinds = append(lists.Kinds, string(kind))
	}
	return lists
}
