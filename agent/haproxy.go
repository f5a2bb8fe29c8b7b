package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/reload"
)

// This file does with HAProxy's configuration and process what people ask for.

// meant returns the reloads that name stands for, at least one: all if it is "".
func (a *Agent) meant(ctx context.Context, name string) ([]Reload, error) {
	return answer(ctx, a, func(context.Context) (out []Reload, err error) {
		for _, r := range a.reloads {
			if name == "" || r.Name == name {
				out = append(out, r.Reload)
			}
		}
		switch {
		case len(out) > 0:
			return out, nil
		case name == "":
			return nil, api.ErrNoReload
		}
		return nil, fmt.Errorf("%w: none is named %q", api.ErrNoReload, name)
	})
}

// ReloadHAProxy runs the reloads that are meant, one after the other, stopping at
// the first that fails, and returns how they are after it. It fails with
// [api.ErrNoReload] or [api.ErrReloading], or with what the transaction says.
func (a *Agent) ReloadHAProxy(ctx context.Context, req api.ReloadRequest) ([]api.ReloadStatus, error) {
	meant, err := a.meant(ctx, req.Name)
	for _, m := range meant {
		if err != nil {
			break
		}
		err = a.perform(ctx, m.Name, req.By, func(r *reloading) launch {
			ask := reload.Request{Reason: cmp.Or(req.Reason, "asked for"), By: req.By, Force: req.Force, Data: a.data(r)}
			run := r.Transaction
			return launch{reason: ask.Reason, run: func(ctx context.Context) (reload.Result, error) { return run.Run(ctx, ask) }}
		})
	}
	return a.Status().Reloads, err
}

// RestoreHAProxy puts a version of HAProxy's configuration in force again. With
// etag, the file must still be the one with that tag. It fails as ReloadHAProxy
// does, and with [api.ErrNoVersion] or [api.ErrChanged].
func (a *Agent) RestoreHAProxy(ctx context.Context, name, id, by, etag string) ([]api.ReloadStatus, error) {
	name, t, err := a.transaction(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, _, err := t.Version(id); err != nil {
		return nil, err
	}
	if _, now, err := t.Show(); etag != "" && (err != nil || now != etag) {
		return nil, api.ErrChanged
	}
	err = a.perform(ctx, name, by, func(*reloading) launch {
		return launch{reason: "restore " + id, run: func(ctx context.Context) (reload.Result, error) { return t.Restore(ctx, id, by) }}
	})
	return a.Status().Reloads, err
}

// errUnseen: an instance has not shown all of its slots yet. It is waited for, as long as one
// that answers may take, and looked at so often.
var errUnseen = errors.New("the slots of HAProxy have not been read yet")

const unseenEvery = 20 * time.Millisecond

// perform runs a transaction that a person asked for, and waits for its end.
func (a *Agent) perform(ctx context.Context, name, by string, prepare func(*reloading) launch) error {
	done := make(chan error, 1) // never blocks the sender
	err := errUnseen
	for begun := time.Now(); errors.Is(err, errUnseen) && ctx.Err() == nil; {
		err = a.askOr(ctx, func(loop context.Context) error {
			r := a.reloadNamed(name)
			switch {
			case r == nil:
				return fmt.Errorf("%w: %s is gone", api.ErrNoReload, name)
			case a.reloadBusy, a.recovering > 0:
				return api.ErrReloading
			case a.unseen(r) && time.Since(begun) < a.timing.Timeout:
				return errUnseen
			}
			l := prepare(r)
			l.by, l.done, l.triggers = by, done, r.policy.Triggers()
			a.launch(loop, r, l)
			return nil
		})
		if errors.Is(err, errUnseen) {
			discovery.Sleep(ctx, unseenEvery)
		}
	}
	if errors.Is(err, errUnseen) {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transaction returns the one of a reload, of the first if name is "".
func (a *Agent) transaction(ctx context.Context, name string) (string, Transaction, error) {
	meant, err := a.meant(ctx, name)
	if err != nil {
		return "", nil, err
	}
	return meant[0].Name, meant[0].Transaction, nil
}

// CheckHAProxy renders HAProxy's configuration as it would be now and checks it;
// words are those of the check. Nothing is changed.
func (a *Agent) CheckHAProxy(ctx context.Context, name string) (words string, err error) {
	name, t, err := a.transaction(ctx, name)
	if err != nil {
		return "", err
	}
	var d reload.Data
	if err := a.ask(ctx, func(context.Context) {
		if r := a.reloadNamed(name); r != nil {
			d = a.data(r)
		}
	}); err != nil {
		return "", err
	}
	return t.Check(ctx, d)
}

// HAProxyConfig returns HAProxy's configuration, or a version of it that is
// kept, and for the former a tag that changes with it.
func (a *Agent) HAProxyConfig(ctx context.Context, name, version string) (text []byte, etag string, err error) {
	_, t, err := a.transaction(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if version == "" {
		return t.Show()
	}
	_, text, err = t.Version(version)
	return text, "", err
}

// HAProxyVersions returns what is kept of HAProxy's configuration, newest first.
func (a *Agent) HAProxyVersions(ctx context.Context, name string) ([]api.ConfigVersion, error) {
	_, t, err := a.transaction(ctx, name)
	if err != nil {
		return nil, err
	}
	kept, err := t.Versions()
	return append([]api.ConfigVersion{}, kept...), err // a list, also if it is empty
}

// HAProxyDiff returns what changed between two versions, "" for the file as it
// is.
func (a *Agent) HAProxyDiff(ctx context.Context, name, from, to string) (string, error) {
	_, t, err := a.transaction(ctx, name)
	if err != nil {
		return "", err
	}
	return t.Diff(from, to)
}
