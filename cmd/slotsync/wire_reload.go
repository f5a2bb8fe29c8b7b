package main

import (
	"context"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

// reloader is how HAProxy is reloaded.
func reloader(r reloadConfig) (reload.Reloader, error) {
	if r.master == "" {
		return reload.Command(r.command), nil
	}
	return haproxy.NewMaster(r.master, r.timeout)
}

// A process is an instance that shows which process answers.
type process struct {
	name   string
	client *haproxy.Client
}

func (p process) Name() string { return p.name }

func (p process) Process(ctx context.Context) (slots.Process, error) { return p.client.Info(ctx) }

// transaction makes what reloads, over the clients of the instances.
func transaction(cfg *config, r reloadConfig, clients []*haproxy.Client) (*reload.Transaction, error) {
	how, err := reloader(r)
	if err != nil {
		return nil, err
	}
	o := reload.Options{
		Template: r.template, File: r.file, Check: r.check, Keep: r.keep,
		Dir: r.dir(cfg.stateDir), Folders: cfg.shared, Timeout: r.timeout, Reloader: how,
	}
	for i, in := range cfg.instances {
		for _, name := range r.instances {
			if in.name == name {
				o.Instances = append(o.Instances, process{name, clients[i]})
			}
		}
	}
	return reload.New(o)
}

// addReloads makes the transactions of all reloads.
func (w *wiring) addReloads(cfg *config) error {
	for _, r := range cfg.reloads {
		t, err := transaction(cfg, r, w.clients)
		if err != nil {
			return usagef("reload %s: %w", r.name, err)
		}
		w.transactions = append(w.transactions, t)
	}
	return nil
}

// agentReload is what the agent is told of a reload.
func agentReload(r reloadConfig, t *reload.Transaction) agent.Reload {
	return agent.Reload{
		OldWorkers: oldWorkers(r),
		Name:       r.name, Key: r.key, Instances: r.instances, Transaction: t,
		MinInterval: r.minInterval, MaxPerHour: r.maxPerHour, Jitter: r.jitter,
	}
}

// oldWorkers asks the master for the processes that reloads have left; nil where
// there is no master to ask.
func oldWorkers(r reloadConfig) func(context.Context) ([]agent.OldWorker, error) {
	if r.master == "" {
		return nil
	}
	return func(ctx context.Context) ([]agent.OldWorker, error) {
		master, err := haproxy.NewMaster(r.master, r.timeout)
		if err != nil {
			return nil, err
		}
		workers, err := master.Workers(ctx)
		var old []agent.OldWorker
		for _, w := range workers {
			if !w.Old {
				continue
			}
			sessions, err := master.Sessions(ctx, w.Pid)
			if err != nil {
				sessions = -1
			}
			old = append(old, agent.OldWorker{Pid: w.Pid, AgeSeconds: w.Age.Seconds(), Sessions: sessions})
		}
		return old, err
	}
}
