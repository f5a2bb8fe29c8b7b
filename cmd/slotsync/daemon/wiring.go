package daemon

import (
	"context"
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
		o.Instances = append(o.Instances, agent.Instance{Name: in.Name, Conn: w.Clients[i], Socket: in.Real, Query: w.Clients[i], Maps: w.Clients[i], Key: in.Key, StateFile: in.StateFile != ""})
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

func reloader(r config.Reload) (reload.Reloader, error) {
	if r.Master == "" {
		return reload.Command(r.Command), nil
	}
	return haproxy.NewMaster(r.Master, r.Timeout)
}

// A Process is an instance that shows which process answers.
type Process struct {
	Instance string
	Client   *haproxy.Client
}

// Name implements [reload.Instance].
func (p Process) Name() string { return p.Instance }

// Process implements [reload.Instance].
func (p Process) Process(ctx context.Context) (slots.Process, error) { return p.Client.Info(ctx) }

// transaction makes what reloads, over the clients of the instances.
func transaction(cfg *config.Config, r config.Reload, clients []*haproxy.Client) (*reload.Transaction, error) {
	how, err := reloader(r)
	if err != nil {
		return nil, err
	}
	o := reload.Options{
		Template: r.Template, File: r.File, Check: r.Check, Keep: r.Keep,
		Dir: r.VersionsDir(cfg.StateDir), Folders: cfg.ReloadPolicy(r), Timeout: r.Timeout, Reloader: how,
	}
	for i, in := range cfg.Instances {
		for _, name := range r.Instances {
			if in.Name == name {
				o.Instances = append(o.Instances, Process{name, clients[i]})
			}
		}
	}
	return reload.New(o)
}

func (w *Wiring) addReloads(cfg *config.Config) error {
	for _, r := range cfg.Reloads {
		t, err := transaction(cfg, r, w.Clients)
		if err != nil {
			return config.Usagef("reload %s: %w", r.Name, err)
		}
		w.Transactions = append(w.Transactions, t)
	}
	return nil
}

func agentReload(r config.Reload, t *reload.Transaction) agent.Reload {
	return agent.Reload{
		OldWorkers: OldWorkers(r),
		Name:       r.Name, Key: r.Key, File: r.File, Instances: r.Instances, Transaction: t,
		MinInterval: r.MinInterval, MaxPerHour: r.MaxPerHour, Jitter: r.Jitter,
	}
}

// OldWorkers asks the master for the processes that reloads have left; nil where
// there is no master to ask.
func OldWorkers(r config.Reload) func(context.Context) ([]api.OldWorker, error) {
	if r.Master == "" {
		return nil
	}
	return func(ctx context.Context) ([]api.OldWorker, error) {
		master, err := haproxy.NewMaster(r.Master, r.Timeout)
		if err != nil {
			return nil, err
		}
		workers, err := master.Workers(ctx)
		var old []api.OldWorker
		for _, w := range workers {
			if !w.Old {
				continue
			}
			sessions, err := master.Sessions(ctx, w.Pid)
			if err != nil {
				sessions = -1
			}
			old = append(old, api.OldWorker{Pid: w.Pid, AgeSeconds: w.Age.Seconds(), Sessions: sessions})
		}
		return old, err
	}
}
