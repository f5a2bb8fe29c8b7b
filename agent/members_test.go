package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

// A backend that nothing serves any more is warned of, once, however it came to that; and
// each line names who went, and why.
func TestEmptiedIsTold(t *testing.T) {
	for name, empty := range map[string]func(*world){
		"listed no more": func(w *world) { w.source.list() },
		"all in maintenance": func(w *world) {
			w.source.say(discovery.Complete(states(eps(80, 81), discovery.Drain, "maintenance")...), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				empty(w)
				w.pass(guard.DefaultEmptyHold + time.Minute)
				if n := w.warned.of("nothing serves this backend any more"); n != 1 {
					w.t.Errorf("warned of %d times", n)
				}
				past, r, err := w.agent.Events().Read(1)
				if err != nil {
					w.t.Fatal(err)
				}
				r.Close()
				n := 0
				for _, e := range past {
					if e.Kind == api.EventEmptied {
						n++
					}
				}
				if n != 1 {
					w.t.Errorf("%d events", n)
				}
			}, a)
		})
	}
}

func TestCalled(t *testing.T) {
	e := discovery.Endpoint{Addr: addr(80), Name: "web-1"}
	if got := called(e, "critical"); got != "web-1 127.0.0.9:80: critical" {
		t.Error(got)
	}
	if got := firstOf([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}); got != "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more" {
		t.Error(got)
	}
}
