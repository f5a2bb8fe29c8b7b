package daemon

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

// A Wiring is everything that a configuration names, made and not yet started.
type Wiring struct {
	Clients []*haproxy.Client    // in the order of the instances
	Sources [][]discovery.Source // in the order of the backends and their feeds
	Systems systems
	// Transactions are in the order of the reloads
	Transactions []*reload.Transaction
}

// Wire makes the clients of all instances and sources. It connects to nothing,
// and reads the files of tokens and certificates. Systems that are open already
// are used again.
func Wire(cfg *config.Config, open systems) (Wiring, error) {
	w := Wiring{Systems: systems{}}
	for _, in := range cfg.Instances {
		c, err := haproxy.New(haproxy.Options{Socket: in.Socket, Timeout: cfg.Timeout, StateFile: in.StateFile, Folders: cfg.FolderPolicy})
		if err != nil {
			return w, config.Usagef("instance %s: %w", in.Name, err)
		}
		w.Clients = append(w.Clients, c)
	}
	if err := w.addReloads(cfg); err != nil {
		return w, err
	}
	err := w.addSources(cfg, open)
	if err != nil {
		w.Systems.closeBut(open)
	}
	return w, err
}

func agentOptions(cfg *config.Config, w Wiring, log *slog.Logger, m *metrics.Metrics) agent.Options {
	o := agent.Options{Timeout: cfg.Timeout, Poll: cfg.Poll, Resync: cfg.Resync, StateDir: cfg.StateDir, SlotMap: cfg.SlotMap, Folders: cfg.FolderPolicy, Log: log, Metrics: m}
	for i, in := range cfg.Instances {
		o.Instances = append(o.Instances, agent.Instance{Name: in.Name, Conn: w.Clients[i], Query: w.Clients[i], Maps: w.Clients[i], Key: in.Key, StateFile: in.StateFile != ""})
	}
	for i, b := range cfg.Backends {
		o.Backends = append(o.Backends, agentBackend(b, w.Sources[i]))
	}
	for i, r := range cfg.Reloads {
		o.Reloads = append(o.Reloads, agentReload(r, w.Transactions[i]))
	}
	return o
}

func agentBackend(b config.Backend, sources []discovery.Source) agent.Backend {
	leave := slots.Maint
	if b.DrainFirst {
		leave = slots.Drain
	}
	var feeds []agent.Feed
	for i, f := range b.Feeds {
		feeds = append(feeds, agent.Feed{Name: f.Name, Source: sources[i], Key: f.Key, Identity: f.Identity})
	}
	unhealthy := b.OnAllUnhealthy
	if unhealthy == "auto" {
		unhealthy = ""
	}
	return agent.Backend{
		Name: b.Name, Proxy: b.Proxy, Prefix: b.Prefix, Instances: b.Instances,
		Feeds: feeds, Failover: b.Failover, OnAllUnhealthy: unhealthy,
		Dynamic: b.Dynamic, DynamicOptions: b.DynamicOptions, MaxSlots: b.MaxSlots,
		Policy: b.Policy, Guard: b.Guard, Leave: leave, Drain: b.Drain, Shutdown: b.DrainShutdown, RepairExternal: b.RepairExternal,
	}
}

// NewMetrics makes the metrics of one agent, and what gathers them.
func NewMetrics(version string) (*prometheus.Registry, *metrics.Metrics) {
	registry := prometheus.NewRegistry()
	return registry, metrics.New(registry, version, metricLists())
}

// metricLists are the label values that other packages own.
func metricLists() metrics.Lists {
	lists := metrics.Lists{Reasons: discovery.Reasons[:], Overrides: api.OverrideKinds[:]}
	for _, class := range discovery.Classes {
		lists.Classes = append(lists.Classes, string(class))
	}
	for _, kind := range slots.Kinds {
		lists.Kinds = append(lists.Kinds, string(kind))
	}
	return lists
}
