package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

// A wiring is everything that a configuration names, made and not yet started.
type wiring struct {
	clients []*haproxy.Client    // in the order of the instances
	sources [][]discovery.Source // in the order of the backends and their feeds
	systems systems
	// transactions are in the order of the reloads
	transactions []*reload.Transaction
}

// newWiring makes the clients of all instances and sources. It connects to nothing,
// and reads the files of tokens and certificates. Systems that are open already
// are used again.
func newWiring(cfg *config, open systems) (wiring, error) {
	w := wiring{systems: systems{}}
	for _, in := range cfg.instances {
		c, err := haproxy.New(haproxy.Options{Socket: in.socket, Timeout: cfg.timeout, StateFile: in.stateFile, Folders: cfg.shared})
		if err != nil {
			return w, usagef("instance %s: %w", in.name, err)
		}
		w.clients = append(w.clients, c)
	}
	if err := w.addReloads(cfg); err != nil {
		return w, err
	}
	err := w.addSources(cfg, open)
	if err != nil {
		w.systems.closeBut(open)
	}
	return w, err
}

// agentOptions are what the agent is told.
func agentOptions(cfg *config, w wiring, log *slog.Logger, m *metrics.Metrics) agent.Options {
	o := agent.Options{Timeout: cfg.timeout, Poll: cfg.poll, Resync: cfg.resync, StateDir: cfg.stateDir, Folders: cfg.shared, Log: log, Metrics: m}
	for i, in := range cfg.instances {
		o.Instances = append(o.Instances, agent.Instance{Name: in.name, Conn: w.clients[i], Query: w.clients[i], Key: in.key, StateFile: in.stateFile != ""})
	}
	for i, b := range cfg.backends {
		o.Backends = append(o.Backends, agentBackend(b, w.sources[i]))
	}
	for i, r := range cfg.reloads {
		o.Reloads = append(o.Reloads, agentReload(r, w.transactions[i]))
	}
	return o
}

func agentBackend(b backendConfig, sources []discovery.Source) agent.Backend {
	leave := slots.Maint
	if b.drainFirst {
		leave = slots.Drain
	}
	var feeds []agent.Feed
	for i, f := range b.feeds {
		feeds = append(feeds, agent.Feed{Name: f.name, Source: sources[i], Key: f.key, Identity: f.identity})
	}
	unhealthy := b.onAllUnhealthy
	if unhealthy == "auto" {
		unhealthy = ""
	}
	return agent.Backend{
		Name: b.name, Proxy: b.proxy, Prefix: b.prefix, Instances: b.instances,
		Feeds: feeds, Failover: b.failover, OnAllUnhealthy: unhealthy,
		Dynamic: b.dynamic, DynamicOptions: b.dynamicOptions, MaxSlots: b.maxSlots,
		Policy: b.policy, Guard: b.guard, Leave: leave, Drain: b.drain, Shutdown: b.drainShutdown, RepairExternal: b.repairExternal,
	}
}

// newMetrics makes the metrics of one agent, and what gathers them.
func newMetrics() (*prometheus.Registry, *metrics.Metrics) {
	registry := prometheus.NewRegistry()
	return registry, metrics.New(registry, version, metricLists())
}

// metricLists are the label values that other packages own.
func metricLists() metrics.Lists {
	lists := metrics.Lists{Reasons: discovery.Reasons[:], Overrides: agent.OverrideKinds[:]}
	for _, class := range discovery.Classes {
		lists.Classes = append(lists.Classes, string(class))
	}
	for _, kind := range slots.Kinds {
		lists.Kinds = append(lists.Kinds, string(kind))
	}
	return lists
}
