package agent

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// A loop that hangs keeps nobody who looks at the agent for longer than 4 s, and is not taken for what it last was.
func TestStatusOfALoopThatHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(time.Second)
		if s := w.status(); !s.Ready || s.Unanswered != "" {
			w.t.Fatalf("before it hangs: %+v", s)
		}
		free := make(chan struct{})
		w.agent.do <- task{do: func(context.Context) { <-free }}
		begun := time.Now()
		s := w.status()
		if took := time.Since(begun); took != answerWait {
			w.t.Errorf("answered after %s", took)
		}
		if s.Ready || len(s.Backends) > 0 || !strings.Contains(s.Unanswered, "the loop of the agent has not answered for 4s") {
			w.t.Errorf("%+v", s)
		}
		close(free)
		if s := w.status(); !s.Ready || len(s.Backends) != 1 {
			w.t.Errorf("after it: %+v", s)
		}
		w.stop()
		if s := w.status(); len(s.Backends) != 1 {
			w.t.Errorf("after the end: %+v", s)
		}
	}, newFake("a", "web", 5))
}

// stuckMap is a HAProxy that keeps who asks it from the end.
type stuckMap chan struct{}

func (s stuckMap) SyncMap(context.Context, string, map[string]string) error { <-s; return nil }

// TestStatusOfAnAgentThatStops: while it ends, nothing is known; that is not to be read as none.
func TestStatusOfAnAgentThatStops(t *testing.T) {
	inWorld(t, func(w *world) {
		free := make(stuckMap)
		w.opts.SlotMap, w.opts.Instances[0].Maps = filepath.Join(stateDir(w.t), "slots.map"), free
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.settle()
		w.cancel()
		w.settle()
		if s := w.status(); s.Unanswered != api.ErrStopped.Error() {
			w.t.Errorf("%+v", s)
		}
		close(free)
		w.stop()
		if s := w.status(); s.Unanswered != "" || len(s.Backends) != 1 {
			w.t.Errorf("after the end: %+v", s)
		}
	}, newFake("a", "web", 5))
}

func TestRequestThatWasGivenUpIsNotCarriedOut(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list()
		w.settle()
		id := w.status().Backends[0].Hold.ID
		busy := make(chan struct{})
		w.agent.do <- task{do: func(context.Context) { <-busy }}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := w.agent.Accept(ctx, "web", id, ""); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("accepting while the loop is busy: %v", err)
		}
		close(busy)
		w.settle()
		w.want(a, "web1=:80 web2=:81")
	}, a)
}
