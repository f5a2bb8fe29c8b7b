package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/slotsync/slotsync/slots"
)

// This file asks instances for people, past the workers.

// A Dump is a table that an instance shows of itself.
type Dump = slots.Dump

// Dumps lists what a [Dump] can be of.
func Dumps() []string { return slots.Dumps[:] }

// A Querier asks one HAProxy for people. Its methods may be called at any time,
// and have deadlines of their own.
type Querier interface {
	// Dump is one of [Dumps].
	Dump(ctx context.Context, what string) (Dump, error)
	// Raw sends one line of commands and returns the answer.
	Raw(ctx context.Context, command string) (string, error)
	// ShutSessions ends the sessions of a server.
	ShutSessions(ctx context.Context, backend, server string) error
}

// Dump asks an instance for one of [Dumps], now. It fails with [ErrNoInstance], or
// with what the instance says.
func (a *Agent) Dump(ctx context.Context, instance, what string) (Dump, error) {
	q, err := a.querier(ctx, instance)
	if err != nil {
		return Dump{}, err
	}
	return q.Dump(ctx, what)
}

// Raw sends a line of commands to an instance, as it is, and returns the answer. It
// fails as Dump does, and with [ErrBadRequest] unless it is one line with something
// on it. What it changes of a slot is somebody else's doing to the agent: see
// Backend.RepairExternal. After a line that may change something the instance is
// compared, so that the status has it at once.
func (a *Agent) Raw(ctx context.Context, instance, command, by string) (string, error) {
	if strings.TrimSpace(command) == "" || strings.ContainsFunc(command, unicode.IsControl) {
		return "", fmt.Errorf("%w: one line of commands is wanted", ErrBadRequest)
	}
	q, err := a.querier(ctx, instance)
	if err != nil {
		return "", err
	}
	a.opts.Log.Info("a command is sent as it is", "instance", instance, "commands", spoken(command), "by", by)
	reply, err := q.Raw(ctx, command)
	if err == nil && !shows(command) {
		a.compareNow(ctx, instance)
	}
	return reply, err
}

// shows reports whether a line does nothing but show something.
func shows(line string) bool {
	return !slices.ContainsFunc(commandsIn(line), func(command string) bool {
		words := strings.Fields(command)
		return len(words) > 0 && words[0] != "show" && words[0] != "help"
	})
}

// compareNow has an instance compared, unless ctx ends before. What keeps the worker
// from it stands in the status.
func (a *Agent) compareNow(ctx context.Context, instance string) {
	r, err := answer(ctx, a, func(context.Context) *running { return a.workers[instance] })
	if err == nil && r != nil {
		_ = r.sync(ctx)
	}
}

// spoken is what a log says of a line of commands: what is done, and to what. Behind that
// a key or a password may follow, as in the lines of a payload.
func spoken(line string) string {
	var out []string
	line, _, more := strings.Cut(line, "\n")
	for _, command := range commandsIn(line) {
		words := strings.Fields(command)
		if len(words) > 3 {
			words = append(words[:3], "…")
		}
		out = append(out, strings.Join(words, " "))
	}
	if more {
		out = append(out, "…")
	}
	return strings.Join(out, "; ")
}

// commandsIn takes a line apart as HAProxy does: a ";" behind a backslash does not end a
// command (management guide, section 9.3).
func commandsIn(line string) []string {
	var out []string
	from := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ';':
			out, from = append(out, line[from:i]), i+1
		}
	}
	return append(out, line[from:])
}

// ShutSessions ends the sessions that an endpoint has, at every instance that has it.
// It fails with [ErrNoBackend] or [ErrNoServer], or with what instances say.
func (a *Agent) ShutSessions(ctx context.Context, backend, server string) (ServerRef, error) {
	asked := map[string]Querier{}
	var proxy string
	ref, err := a.operate(ctx, backend, server, func(b *backendRef, _ time.Time) error {
		proxy = b.Proxy
		slot := b.ref(b.addr).Slot
		if slot == "" {
			return fmt.Errorf("%w: %s/%s has no slot", ErrNoServer, b.Name, b.addr)
		}
		for _, in := range a.of(b.backend) {
			at := slices.IndexFunc(in.last.backends[b.Name].own, func(s slots.Server) bool { return s.Name == slot && s.Addr == b.addr })
			if at >= 0 && in.Query != nil {
				asked[in.Name] = in.Query
			}
		}
		return nil
	})
	if err != nil {
		return ref, err
	}
	names := slices.Sorted(maps.Keys(asked))
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			if err := asked[name].ShutSessions(ctx, proxy, ref.Slot); err != nil {
				errs[i] = fmt.Errorf("instance %s: %w", name, err)
			}
		})
	}
	group.Wait()
	return ref, errors.Join(errs...)
}

func (a *Agent) querier(ctx context.Context, name string) (Querier, error) {
	q, err := answer(ctx, a, func(context.Context) Querier {
		if in := a.instance(name); in != nil {
			return in.Query
		}
		return nil
	})
	if err == nil && q == nil {
		err = fmt.Errorf("%w: %q", ErrNoInstance, name)
	}
	return q, err
}
