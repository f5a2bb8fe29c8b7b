package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

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
