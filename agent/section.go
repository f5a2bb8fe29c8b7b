package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots/reload"
)

// This file changes sections of HAProxy's configuration for people.

// HAProxySections lists the sections of HAProxy's configuration, and a tag that
// changes with it.
func (a *Agent) HAProxySections(ctx context.Context, name string) ([]api.ConfigSection, string, error) {
	_, t, err := a.transaction(ctx, name)
	if err != nil {
		return nil, "", err
	}
	all, etag, err := t.Sections()
	out := []api.ConfigSection{}
	for _, s := range all {
		out = append(out, s.ConfigSection)
	}
	return out, etag, err
}

// HAProxySection returns one section and the tag of the whole configuration. It
// fails with [api.ErrNoSection], or [api.ErrBadSection] if there are several of that name.
func (a *Agent) HAProxySection(ctx context.Context, name, typ, section string) (text []byte, etag string, err error) {
	_, t, err := a.transaction(ctx, name)
	if err != nil {
		return nil, "", err
	}
	return t.Section(typ, section)
}

// PreviewHAProxySection returns what e would change, as a unified diff.
func (a *Agent) PreviewHAProxySection(ctx context.Context, e api.SectionEdit) (string, error) {
	_, t, err := a.edited(ctx, e)
	if err != nil {
		return "", err
	}
	return t.Preview(editOf(e, reload.Data{}))
}

// EditHAProxySection makes the change and reloads HAProxy, as
// [Agent.ReloadHAProxy] does, with its errors, [api.ErrChanged], [api.ErrNoSection],
// [api.ErrBadSection], and [api.ErrBadRequest] if it is not said which of several files is
// meant. Nothing is changed after one of these.
func (a *Agent) EditHAProxySection(ctx context.Context, e api.SectionEdit) ([]api.ReloadStatus, error) {
	name, t, err := a.edited(ctx, e)
	if err != nil {
		return nil, err
	}
	if _, err := t.Preview(editOf(e, reload.Data{})); err != nil {
		return nil, err
	}
	err = a.perform(ctx, name, e.By, func(r *reloading) launch {
		ask := editOf(e, a.data(r))
		return launch{reason: "edit of " + e.String(), run: func(ctx context.Context) (reload.Result, error) { return t.Edit(ctx, ask) }}
	})
	return a.Status().Reloads, err
}

// edited returns the reload whose configuration e changes. Each has a file of its own:
// one of several is not guessed, or an edit that was meant for all is made in the first.
func (a *Agent) edited(ctx context.Context, e api.SectionEdit) (string, Transaction, error) {
	meant, err := a.meant(ctx, e.Reload)
	if err != nil {
		return "", nil, err
	}
	if len(meant) > 1 {
		var names []string
		for _, r := range meant {
			names = append(names, r.Name)
		}
		return "", nil, fmt.Errorf("%w: each reload has a file of its own: name the one that is meant, of %s", api.ErrBadRequest, strings.Join(names, ", "))
	}
	return meant[0].Name, meant[0].Transaction, nil
}

func editOf(e api.SectionEdit, d reload.Data) reload.Edit {
	return reload.Edit{Type: e.Type, Name: e.Name, Body: e.Body, ETag: e.ETag, By: e.By, Force: e.Force, Data: d}
}
