package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func (w *world) explain(about string) api.Explanation {
	w.t.Helper()
	e, err := w.agent.Explain(w.t.Context(), "web", about)
	if err != nil {
		w.t.Fatalf("%s: %v", about, err)
	}
	return e
}

// wantVerdict fails unless the verdict on about holds every part.
func (w *world) wantVerdict(about string, parts ...string) api.Explanation {
	w.t.Helper()
	e := w.explain(about)
	for _, part := range parts {
		if !strings.Contains(e.Verdict, part) {
			w.t.Errorf("%s: %q lacks %q", about, e.Verdict, part)
		}
	}
	return e
}

func TestExplainAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.list(80, 81)
		w.start()
		w.pass(time.Second)
		e := w.wantVerdict("127.0.0.9:80", "127.0.0.9:80 takes traffic at a and b in slot web1.")
		x := e.Addresses[0]
		if e.Name != "web" || e.About != "127.0.0.9:80" || e.Slots != 4 || e.Free != 2 || e.Guard.State != "published" || len(e.Sources) != 1 {
			t.Errorf("got %+v", e)
		}
		if s := e.Sources[0]; s.Ready != 2 || s.State != "ok" || s.Answered.IsZero() || !s.InUse {
			t.Errorf("the source: %+v", s)
		}
		if len(x.Said) != 1 || x.Said[0].Says != api.SaysReady || x.Said[0].LastListed.IsZero() || x.InForce == nil || x.Slot != "web1" || x.Since.IsZero() {
			t.Errorf("got %+v", x)
		}
		if len(x.Instances) != 2 || !x.Instances[0].Traffic || x.Instances[0].Seen.IsZero() || len(x.Instances[0].Said) != 1 {
			t.Errorf("the instances: %+v", x.Instances)
		}
		if said := x.Instances[1].Said; said[0].Command != "fill web1" || said[0].Reply != "done" || !said[0].Answered || said[0].At.IsZero() {
			t.Errorf("said: %+v", said)
		}
		for about, want := range map[string]string{
			"::ffff:127.0.0.9":      "127.0.0.9:80 takes traffic at a and b in slot web1. 127.0.0.9:81 takes traffic at a and b in slot web2.",
			"[::ffff:127.0.0.9]:81": "127.0.0.9:81 takes traffic at a and b in slot web2.",
			"web2":                  "127.0.0.9:81 takes traffic at a and b in slot web2.",
			"web4":                  "Slot web4 is free: it holds no endpoint.",
			"10.9.9.9":              "No source of web lists 10.9.9.9, or ever did: is the address right?",
			"":                      "web is as its sources say: 2 endpoints in 4 slots.",
		} {
			if got := w.explain(about).Verdict; got != want {
				t.Errorf("%s: got %q, want %q", about, got, want)
			}
		}
		for about, want := range map[string]error{"web9": api.ErrNoSubject, "127.0.0.9:99999": api.ErrNoSubject, "../web1": api.ErrNoSubject} {
			if _, err := w.agent.Explain(w.t.Context(), "web", about); !errors.Is(err, want) {
				t.Errorf("%s: %v", about, err)
			}
		}
		if _, err := w.agent.Explain(w.t.Context(), "wbe", "web1"); !errors.Is(err, api.ErrNoBackend) {
			t.Error(err)
		}
		w.stop()
		if _, err := w.agent.Explain(w.t.Context(), "web", ""); err == nil {
			t.Error("an agent that has ended explains")
		}
	}, newFake("a", "web", 4), newFake("b", "web", 4))
}

func TestExplainWhatGoesWrong(t *testing.T) {
	a, b := newFake("a", "web", 4), newFake("b", "web", 4)
	inWorld(t, func(w *world) {
		w.source.say(discovery.Reading{
			Parts:    []discovery.Part{{Endpoints: eps(80, 81, 82)}},
			Rejected: []discovery.Rejection{{Reason: discovery.LinkLocal, Name: "meta", Value: "169.254.169.254:80"}, {Reason: discovery.LinkLocal, Value: "169.254.1.1"}},
		}, nil)
		w.start()
		w.pass(time.Second)
		w.wantVerdict("169.254.169.254:80", "never takes traffic: test names it, and link-local addresses are never used (link_local).")
		w.wantVerdict("169.254.169.254", "169.254.169.254:80 never takes traffic")
		w.wantVerdict("169.254.1.1:80", "never takes traffic")

		b.set("web1", func(s *slots.Server) { s.Class = slots.Drain })
		a.set("web2", func(s *slots.Server) { s.Checked = true })
		w.pass(40 * time.Second)
		w.wantVerdict("web1", "takes traffic at a in slot web1; not at b: ")
		w.wantVerdict("web1", "s ago, somebody set it to drain; setting it ready, or slotsync server start, ends that.")
		w.wantVerdict("127.0.0.9:81", "takes traffic at b in slot web2; not at a: HAProxy's check fails there.")

		b.with(func() { b.err = &slots.InstanceError{Fault: slots.Absent, Err: errors.New("gone")} })
		w.pass(2 * time.Second)
		w.wantVerdict("127.0.0.9:82", "takes traffic at a in slot web3; not at b: it does not answer (absent: gone)")
		w.source.list(80, 81)
		w.pass(2 * time.Second)
		e := w.wantVerdict("127.0.0.9:82", "127.0.0.9:82 is out of service: test does not list it any more", "It may still have traffic at b: it does not answer (absent: gone)")
		if x := e.Addresses[0]; x.NoSlot != "unwanted" || x.Said[0].Says != api.SaysUnlisted || x.Said[0].LastListed.IsZero() {
			t.Errorf("got %+v", x)
		}
		w.source.fail()
		w.pass(20 * time.Second)
		w.wantVerdict("127.0.0.9:80", "test does not answer for ", "what it said last stays in force")
		w.wantVerdict("", "test does not answer for ", "b does not answer (absent: gone).")
	}, a, b)
}

func TestExplainHold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.list(80, 81, 82, 83)
		w.start()
		w.pass(time.Second)
		w.source.list()
		w.pass(time.Second)
		e := w.wantVerdict("127.0.0.9:80", "takes traffic at a in slot web1. It is only kept: the sources list nothing any more, all at once: the last 4 stay in force for another 4m", "slotsync accept web")
		if x := e.Addresses[0]; !x.Held || e.Guard.Hold == nil || e.Guard.ConfirmationsNeeded != 3 {
			t.Errorf("got %+v, %+v", x, e.Guard)
		}
		w.wantVerdict("", "web is held: the sources list nothing")
		if err := w.accept("web"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantVerdict("127.0.0.9:80", "127.0.0.9:80 is out of service: test does not list it any more, and did so last ")
		if said := w.explain("web1").Addresses[0].Instances[0].Said; len(said) != 2 || said[1].Command != "empty web1" {
			t.Errorf("said: %+v", said)
		}
	}, newFake("a", "web", 4))
}

func TestExplainTakeoverOverflowAndWaiting(t *testing.T) {
	a := newFake("a", "web", 2)
	a.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(99), slots.Ready })
	a.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Second)
		w.wantVerdict("127.0.0.9:81", "Nothing is known of 127.0.0.9:81: no slot is touched: test has not answered yet.")
		w.source.list(80, 81)
		w.pass(time.Second)
		w.wantVerdict("127.0.0.9:99", "127.0.0.9:99 is live at a in slot web1, and no source has ever listed it: it is left alone until `slotsync accept web t185cab`.")
		w.wantVerdict("127.0.0.9:80", "takes traffic at a in slot web2.")
		w.wantVerdict("127.0.0.9:81", "127.0.0.9:81 has no slot, and takes no traffic: all 2 slots of web are taken.")
		if got := w.explain("127.0.0.9").Addresses; len(got) != 3 {
			t.Errorf("%d addresses", len(got))
		}
	}, a)
}

func TestExplainIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		var ports []int
		r := discovery.Reading{}
		for p := range 200 {
			ports = append(ports, p+1)
			r.Rejected = append(r.Rejected, discovery.Rejection{Reason: discovery.BadPort, Name: fmt.Sprint(p), Value: "0"})
		}
		r.Parts = discovery.Complete(eps(ports...)...).Parts
		w.source.say(r, nil)
		w.start()
		w.pass(time.Second)
		e := w.wantVerdict("127.0.0.9", "127.0.0.9:3 has no slot", "197 more addresses are below.")
		if len(e.Addresses) != 50 || e.More != 150 || len(e.Sources[0].Rejected) != 20 || e.Sources[0].RejectedTotal != 200 {
			t.Errorf("%d addresses, %d more, %d of %d rejected", len(e.Addresses), e.More, len(e.Sources[0].Rejected), e.Sources[0].RejectedTotal)
		}
		raw, err := json.Marshal(e)
		if err != nil || strings.Contains(string(raw), ":null,") && strings.Contains(string(raw), `"said":null`) {
			t.Errorf("%v: %s", err, raw)
		}
		var back api.Explanation
		if err := json.Unmarshal(raw, &back); err != nil || back.Verdict != e.Verdict || !reflect.DeepEqual(back.Guard.InForce, e.Guard.InForce) {
			t.Errorf("back: %v", err)
		}
	}, newFake("a", "web", 2))
}

func TestTranscriptIsBounded(t *testing.T) {
	told := commandLog{}
	for i := range 10 {
		told.add([]slots.Exchange{{Backend: "web", Slot: "web1", Command: fmt.Sprint(i)}})
	}
	if got := told[slotName{"web", "web1"}]; len(got) != keepCommands || got[0].Command != "6" || got[3].Command != "9" {
		t.Errorf("got %+v", got)
	}
	for i := range maxLogged + 10 {
		told.add([]slots.Exchange{{Backend: "web", Slot: fmt.Sprint(i)}})
	}
	if len(told) != maxLogged {
		t.Errorf("%d slots", len(told))
	}
}

func TestExplainOperators(t *testing.T) {
	a := newFake("a", "web", 4)
	inWorld(t, func(w *world) {
		w.source.list(80, 81)
		w.start()
		w.pass(time.Second)
		if _, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateDrain, api.Who{By: "ann", Reason: "disk"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		e := w.wantVerdict("127.0.0.9:80", "127.0.0.9:80 drains in slot web1: an operator says so", "An operator has it so: drain by ann: disk.")
		if o := e.Addresses[0].Overrides; len(o) != 1 || o[0].By != "ann" || e.Addresses[0].Said[0].Says != api.SaysReady {
			t.Errorf("got %+v", e.Addresses[0])
		}
		if o := w.explain("web2").Addresses[0].Overrides; len(o) != 0 {
			t.Errorf("got %+v", o)
		}
	}, a)
}
