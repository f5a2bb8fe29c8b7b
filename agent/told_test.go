package agent

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// told are the texts of the events of a kind that were, in one.
func (w *world) told(kind string) string {
	w.t.Helper()
	all, reader, err := w.agent.Events().Read(1)
	if err != nil {
		w.t.Fatal(err)
	}
	reader.Close()
	var out []string
	for _, e := range all {
		if e.Kind == kind {
			out = append(out, e.Text)
		}
	}
	return strings.Join(out, "; ")
}

// wantTold fails the test unless what was told of a kind has these words.
func (w *world) wantTold(kind string, words ...string) {
	w.t.Helper()
	said := w.told(kind)
	for _, text := range words {
		if !strings.Contains(said, text) {
			w.t.Errorf("%s: %q does not say %q", kind, said, text)
		}
	}
}

// named returns the endpoints with a name each, node-PORT.
func named(ports ...int) []discovery.Endpoint {
	list := eps(ports...)
	for i := range list {
		list[i].Name = "node-" + strconv.Itoa(int(list[i].Addr.Port()))
	}
	return list
}

// TestOutagesAreToldWithTheirLength: of an instance, and of a source.
func TestOutagesAreToldWithTheirLength(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.with(func() { a.err = &slots.InstanceError{Fault: slots.Absent, Err: errors.New("nobody listens")} })
		w.source.fail()
		w.pass(4 * time.Minute)
		a.with(func() { a.err = nil })
		w.source.list(80)
		w.pass(20 * time.Second)
		w.wantTold(api.EventInstanceUp, "answers again, after 4m")
		w.wantTold(api.EventSourceAnswering, " answers again, after 4m")
	}, a)
}

// TestOutageOverAReconfiguration: a source that is asked in another way and answers then had failed since before.
func TestOutageOverAReconfiguration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.source.fail()
		w.pass(4 * time.Minute)
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		feed := next.Backends[0].Feeds[0]
		second := newSource(80)
		feed.Source, feed.Key, feed.Identity = second, "with another token", "a"
		next.Backends[0].Feeds = []Feed{feed}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(20 * time.Second)
		w.wantTold(api.EventSourceAnswering, " answers again, after 4m")
	}, newFake("a", "web", 3))
}

// TestWhatGoesIsToldByName: a person knows machines by names.
func TestWhatGoesIsToldByName(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(named(80, 81, 82)...)
		w.start()
		w.source.list()
		w.settle()
		hold := w.status().Backends[0].Hold
		if hold == nil {
			w.t.Fatal("nothing is held")
		}
		if _, err := w.agent.Accept(w.t.Context(), "web", hold.ID, "ann"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.wantTold(api.EventAccepted, "node-80 127.0.0.9:80, node-81 127.0.0.9:81, node-82 127.0.0.9:82")
		w.wantTold(api.EventEmptied, "web is empty: ")
	}, a)
}

// TestWhatIsNotKeptIsToldApart: what is listed again, and what is gone.
func TestWhatIsNotKeptIsToldApart(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80}, []int{81, 82})
		w.start()
		w.source.say(gap(80), nil)
		w.settle()
		w.wantKept("81 82", "")
		w.source.say(families([]int{80}, []int{82}), nil)
		w.settle()
		w.wantTold(api.EventKeptEnded, "listed again: 127.0.0.9:82", "gone: 127.0.0.9:81")
	}, a)
}

// TestOperatorsAreToldWhatIsMeant: the name that is nearly the one, and that no HAProxy has shown its slots.
func TestOperatorsAreToldWhatIsMeant(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		a.err = &slots.InstanceError{Fault: slots.Absent, Err: errors.New("nobody listens")}
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		for server, words := range map[string]string{"wep/web1": `no such backend: "wep"; did you mean "web"?`, "web/web1": "no HAProxy has shown the slots of web yet"} {
			backend, slot, _ := strings.Cut(server, "/")
			_, err := w.agent.SetState(w.t.Context(), backend, slot, api.StateDrain, api.Who{})
			if err == nil || !strings.Contains(err.Error(), words) {
				w.t.Errorf("%s: %v", server, err)
			}
		}
		if _, err := w.agent.SetState(w.t.Context(), "nothing-like-it", "web1", api.StateDrain, api.Who{}); !errors.Is(err, api.ErrNoBackend) || strings.Contains(err.Error(), "mean") {
			w.t.Errorf("%v", err)
		}
	}, a)
}
