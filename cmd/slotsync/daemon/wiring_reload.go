package daemon

import (
	"context"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

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
