package agent

import (
	"context"
	"testing"
)

func TestLateWordOfAnOldSourceIsNotTheNewOnes(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading.Endpoints = eps(80, 81)
		w.start()
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		other := newMute()
		next.Backends[0].Source, next.Backends[0].SourceKey = other, "other"
		held := make(chan struct{})
		w.agent.do <- func(context.Context) { <-held }
		done := make(chan error)
		go func() {
			done <- w.agent.ask(context.Background(), func(loop context.Context) { w.agent.change(loop, next) })
		}()
		w.settle()
		w.source.list(80, 81, 82)
		w.settle()
		close(held)
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		other.list(83)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:83")
	}, a)
}
