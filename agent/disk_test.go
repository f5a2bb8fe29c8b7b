package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// No change waits for the disk that state files are brought to.
func TestSlowDiskDelaysNoChange(t *testing.T) {
	a := newFake("a", "web", 8)
	a.disk = time.Minute
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(2 * syncAfter) // the disk is at work
		for port := 81; port <= 85; port++ {
			w.source.list(span(80, port)...)
			w.pass(time.Second)
			w.wantPorts(a, span(80, port)...)
		}
	}, a)
}

// reachInAnotherWay has the first instance configured so that another reconciler goes on with it.
func (w *world) reachInAnotherWay() {
	w.t.Helper()
	next := w.opts
	next.Instances = []Instance{next.Instances[0]}
	next.Instances[0].Key = "another"
	if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
		w.t.Fatal(err)
	}
}

// Nor does who goes on with an instance that is configured in another way: the one before may
// still wait for the disk.
func TestSlowDiskDelaysNoSuccessor(t *testing.T) {
	a := newFake("a", "web", 8)
	a.disk = time.Minute
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(2 * syncAfter) // the disk is at work
		w.reachInAnotherWay()
		w.source.list(80, 81)
		w.pass(time.Second)
		w.wantPorts(a, 80, 81)
	}, a)
}

// TestFrozenDiskDelaysNoChange: what is sent stands in the state file before, unless the disk does
// not answer; the file has the newest as soon as it does.
func TestFrozenDiskDelaysNoChange(t *testing.T) {
	a := newFake("a", "web", 8)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(10 * time.Second)
		a.with(func() { a.frozen = make(chan struct{}) })
		for port := 81; port <= 85; port++ {
			w.source.list(span(80, port)...)
			w.pass(time.Second)
			w.wantPorts(a, span(80, port)...)
		}
		if got := showServers(a.saved["web"]); got != "web1=:80" {
			w.t.Errorf("the file has %s", got)
		}
		w.wantSync("a", true)
		a.with(func() { close(a.frozen); a.frozen = nil })
		w.settle()
		if got := showServers(a.saved["web"]); got != a.show() {
			w.t.Errorf("the file has %s, HAProxy %s", got, a.show())
		}
	}, a)
}

// TestFrozenDiskGetsTheNewestInTheEnd: what was sent to HAProxy meanwhile is in the file when the agent has ended.
func TestFrozenDiskGetsTheNewestInTheEnd(t *testing.T) {
	a := newFake("a", "web", 8)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		a.with(func() { a.frozen = make(chan struct{}) })
		for _, ports := range [][]int{{80, 81, 82}, {80, 82}} {
			w.source.list(ports...)
			w.pass(time.Second)
		}
		w.cancel()
		w.settle()
		w.stop()
		if got := showServers(a.saved["web"]); got != a.show() {
			w.t.Errorf("the file has %s, HAProxy %s", got, a.show())
		}
	}, a)
}

// TestOneWritesAStateFile: who goes on with an instance writes its files once those of the one before are written.
func TestOneWritesAStateFile(t *testing.T) {
	a := newFake("a", "web", 8)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(10 * time.Second)
		a.with(func() { a.frozen = make(chan struct{}) })
		w.source.list(80, 81)
		w.pass(time.Second)
		w.reachInAnotherWay()
		w.source.list(80, 81, 82)
		w.pass(time.Second)
		w.wantPorts(a, 80, 81, 82)
		if a.saversMost != 1 {
			w.t.Errorf("%d write at a time", a.saversMost)
		}
		a.with(func() { close(a.frozen); a.frozen = nil })
		w.settle()
		if got := showServers(a.saved["web"]); got != a.show() {
			w.t.Errorf("the file has %s, HAProxy %s", got, a.show())
		}
	}, a)
}
