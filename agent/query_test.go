package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A fakeQuery notes whose sessions are to end, and when, or hangs.
type fakeQuery struct {
	hangs bool
	raw   func()
	shut  []string
	at    time.Time
}

func (q *fakeQuery) Dump(context.Context, string) (Dump, error) { return Dump{}, nil }

func (q *fakeQuery) Raw(context.Context, string) (string, error) {
	if q.raw != nil {
		q.raw()
	}
	return "", nil
}

func (q *fakeQuery) ShutSessions(ctx context.Context, backend, server string) error {
	if q.hangs {
		select {
		case <-time.After(DefaultTimeout):
		case <-ctx.Done():
		}
		return errors.New("no answer")
	}
	q.shut, q.at = append(q.shut, backend+"/"+server), time.Now()
	return nil
}

// TestShutSessions: of the slot that has the endpoint, where it does; an instance that
// hangs delays no other.
func TestShutSessions(t *testing.T) {
	a, b, c := newFake("a", "web", 5), newFake("b", "web", 5), newFake("c", "web", 5)
	inWorld(t, func(w *world) {
		hangs, shuts, other := &fakeQuery{hangs: true}, &fakeQuery{}, &fakeQuery{}
		for i, q := range []*fakeQuery{hangs, shuts, other} {
			w.opts.Instances[i].Query = q
		}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		c.set("web2", func(s *slots.Server) { s.Class, s.Addr = slots.Drain, addr(99) })
		c.with(func() { c.refuse["web2"] = slots.OtherCause })
		w.pass(time.Minute)
		began := time.Now()
		ref, err := w.agent.ShutSessions(w.t.Context(), "web", "127.0.0.9:81")
		if ref.Slot != "web2" || err == nil || !strings.HasPrefix(err.Error(), "instance a: ") || strings.Contains(err.Error(), "\n") {
			w.t.Errorf("got %+v, %v", ref, err)
		}
		if strings.Join(shuts.shut, " ") != "web/web2" || !shuts.at.Equal(began) {
			w.t.Errorf("b: %v, after %s", shuts.shut, shuts.at.Sub(began))
		}
		if len(other.shut) > 0 {
			w.t.Errorf("c, which has another address there: %v", other.shut)
		}
		if _, err := w.agent.ShutSessions(w.t.Context(), "web", "web4"); !errors.Is(err, api.ErrNoServer) {
			w.t.Errorf("a free slot: %v", err)
		}
	}, a, b, c)
}

// TestWhatIsSentAsItIsIsSeenAtOnce: a slot that a line takes out is external with the
// answer, not only when slots are compared again; and is so after a restart.
func TestWhatIsSentAsItIsIsSeenAtOnce(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Instances[0].Query = &fakeQuery{raw: func() { a.set("web1", func(s *slots.Server) { s.Class = slots.Maint }) }}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.settle()
		if _, err := w.agent.Raw(w.t.Context(), "a", "show info; set server web/web1 state maint", "ann"); err != nil {
			w.t.Fatal(err)
		}
		for _, line := range []string{"", " ", "show info\nset server web/web2 state maint"} {
			if _, err := w.agent.Raw(w.t.Context(), "a", line, "ann"); !errors.Is(err, api.ErrBadRequest) {
				w.t.Errorf("%q: %v", line, err)
			}
		}
		if held := w.status().Backends[0].Slots[0].Instances[0].HeldBy; held != "external" {
			w.t.Errorf("held by %q", held)
		}
		w.stop()
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web2=:81")
	}, a)
}

// TestShownIsLoggedWithinBounds: anybody may have something shown, and fills no disk by that.
func TestShownIsLoggedWithinBounds(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Instances[0].Query = &fakeQuery{}
		w.start()
		var log bytes.Buffer
		w.agent.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		for _, ctx := range []context.Context{slots.ForReader(w.t.Context()), w.t.Context()} {
			log.Reset()
			for range 300 {
				if _, err := w.agent.Raw(ctx, "a", "show pools", "ann"); err != nil {
					w.t.Fatal(err)
				}
			}
			want := map[bool]int{true: shownBurst, false: 300}[slots.IsForReader(ctx)]
			if n := strings.Count(log.String(), "show pools"); n != want {
				w.t.Errorf("%d lines, want %d", n, want)
			}
		}
	}, a)
}

// TestShutSessionsOfOneThatLeft: with all slots taken, a slot still has the sessions of the
// endpoint that left; they end by its address, and by the name of the slot.
func TestShutSessionsOfOneThatLeft(t *testing.T) {
	a := newFake("a", "web", 1)
	inWorld(t, func(w *world) {
		q := &fakeQuery{}
		w.opts.Instances[0].Query = q
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Sessions = 2 })
		w.source.list(81)
		w.pass(time.Minute)
		for _, server := range []string{"127.0.0.9:80", "web1"} {
			if _, err := w.agent.ShutSessions(w.t.Context(), "web", server); err != nil {
				t.Errorf("%s: %v", server, err)
			}
		}
		if _, err := w.agent.ShutSessions(w.t.Context(), "web", "127.0.0.9:81"); err != nil {
			t.Errorf("one that waits for a slot: %v", err)
		}
		if strings.Join(q.shut, " ") != "web/web1 web/web1" {
			t.Errorf("asked %v", q.shut)
		}
		if _, err := w.agent.ShutSessions(w.t.Context(), "web", "127.0.0.9:99"); !errors.Is(err, api.ErrNoServer) {
			t.Errorf("nobody: %v", err)
		}
	}, a)
}
