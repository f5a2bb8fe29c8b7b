package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file asks instances for people, past their reconcilers.

// shownRate and shownBurst bound the lines of the log a second of what is shown to who may
// only read: anybody can ask for it.
const shownRate, shownBurst = 1, 100

// A Dump is a table that an instance shows of itself.
type Dump = slots.Dump

// A Querier asks one HAProxy for people. Its methods may be called at any time,
// and have deadlines of their own.
type Querier interface {
	// Dump is one of [slots.Dumps].
	Dump(ctx context.Context, what string) (Dump, error)
	// Raw sends one line of commands and returns the answer.
	Raw(ctx context.Context, command string) (string, error)
	// ShutSessions ends the sessions of a server.
	ShutSessions(ctx context.Context, backend, server string) error
}

// Dump asks an instance for one of [slots.Dumps], now. It fails with [api.ErrNoInstance], or
// with what the instance says.
func (a *Agent) Dump(ctx context.Context, instance, what string) (Dump, error) {
	q, err := a.querier(ctx, instance)
	if err != nil {
		return Dump{}, err
	}
	return q.Dump(ctx, what)
}

// Raw sends a line of commands to an instance, as it is, and returns the answer. It
// fails as Dump does, and with [api.ErrBadRequest] unless it is one line with something
// on it. What it changes of a slot is somebody else's doing to the agent: see
// Backend.RepairExternal. After a line that may change something the instance is
// compared, so that the status has it at once.
func (a *Agent) Raw(ctx context.Context, name, command, by string) (string, error) {
	if strings.TrimSpace(command) == "" || strings.ContainsFunc(command, unicode.IsControl) {
		return "", fmt.Errorf("%w: one line of commands is wanted", api.ErrBadRequest)
	}
	q, err := a.querier(ctx, name)
	if err != nil {
		return "", err
	}
	switch line, attrs := "an operator sends commands straight to HAProxy", []any{"commands", api.Loggable(command), "by", by}; {
	case !api.OnlyShows(command):
		a.record(happening{line: line, attrs: attrs, event: api.Event{Kind: api.EventNote, Instance: name, Fields: map[string]string{"by": by}}})
	case !slots.IsForReader(ctx) || a.shown.Allow():
		a.opts.Log.Info(line, append(attrs, "instance", name)...)
	}
	reply, err := q.Raw(ctx, command)
	if err != nil || api.OnlyShows(command) {
		return reply, err
	}
	var in *instance
	if a.ask(ctx, func(context.Context) { in = a.instance(name) }) == nil && in != nil {
		_ = in.reconciler.Sync(ctx) // what keeps it from that stands in the status
	}
	return reply, nil
}

// ShutSessions ends the sessions that an endpoint has, or a slot whatever its address
// is, at every instance that has it. It fails with [api.ErrNoBackend] or [api.ErrNoServer], or
// with what instances say.
func (a *Agent) ShutSessions(ctx context.Context, backend, server string) (api.ServerRef, error) {
	var asked []shutAt
	var proxy string
	ref, err := answer(ctx, a, func(context.Context) (ref api.ServerRef, err error) {
		b := a.backend(backend)
		if b == nil {
			return ref, a.noBackend(backend)
		}
		proxy = b.Proxy
		if ref, asked = b.holders(server); len(asked) > 0 {
			return ref, nil
		}
		wanted := func(e discovery.Endpoint) bool { return e.Addr.String() == ref.Endpoint }
		if _, err := b.find(server); err == nil && slices.ContainsFunc(b.wanted(), wanted) {
			return ref, nil // it is nowhere yet
		}
		return ref, fmt.Errorf("%w: no slot of %s is or has %q at any instance that can be asked", api.ErrNoServer, b.Name, discovery.Printable(server, 60))
	})
	if err != nil {
		return ref, err
	}
	errs := make([]error, len(asked))
	var group sync.WaitGroup
	for i, at := range asked {
		group.Go(func() {
			if err := at.query.ShutSessions(ctx, proxy, at.slot); err != nil {
				errs[i] = fmt.Errorf("instance %s: %w", at.instance, err)
			}
		})
	}
	group.Wait()
	return ref, errors.Join(errs...)
}

// A shutAt is a slot of one instance whose sessions are to be ended.
type shutAt struct {
	instance, slot string
	query          Querier
}

// holders returns the slots that server names, at every instance that can be asked: those
// that have its address, also after it left, or the one of that name.
func (b *backend) holders(server string) (ref api.ServerRef, out []shutAt) {
	number, named := b.numberOf(server)
	addr, err := netip.ParseAddrPort(server)
	if addr = plain(addr); err == nil {
		named = false
		ref = b.ref(addr)
	}
	for _, in := range b.served {
		for _, s := range in.at(b.Name).Own {
			unused := s.Class == slots.Maint && slots.IsPlaceholder(s.Addr, slots.Placeholder(in.at(b.Name).Own))
			if in.Query == nil || !(err == nil && s.Addr == addr || named && s.Number == number && !unused) {
				continue
			}
			out = append(out, shutAt{in.Name, s.Name, in.Query})
			if ref.Slot == "" {
				ref = api.ServerRef{Backend: b.Name, Endpoint: s.Addr.String(), Slot: s.Name}
			}
		}
	}
	return ref, out
}

func (a *Agent) querier(ctx context.Context, name string) (Querier, error) {
	return answer(ctx, a, func(context.Context) (Querier, error) {
		if in := a.instance(name); in != nil && in.Query != nil {
			return in.Query, nil
		}
		return nil, fmt.Errorf("%w: %q", api.ErrNoInstance, name)
	})
}
