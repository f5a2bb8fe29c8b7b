package haproxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// said returns what was said about a slot, as "command: reply".
func rawReply(out slots.Outcome, slot string) []string {
	var list []string
	for _, e := range out.Exchanges {
		if e.Slot != slot {
			continue
		}
		reply := e.Reply
		if !e.Answered {
			reply = "(no answer)"
		}
		list = append(list, e.Command+": "+reply)
	}
	return list
}

func TestExchanges(t *testing.T) {
	everywhere(t, []haproxytest.Backend{{Name: "web", Slots: 4}, {Name: "off", Slots: 1, Disabled: true}}, func(t *testing.T, on *target) {
		v := on.view(t, "web", "off")
		start := time.Now()
		out := on.apply(t, v.Process,
			fill("web", v.Servers["web"][0], addr("10.0.0.1:80")),
			slots.Change{Backend: "web", Slot: "web2", Kind: slots.Weigh, Weight: 7, From: v.Servers["web"][1]},
			fill("web", slots.Server{Name: "web99"}, addr("10.0.0.9:80")),
			fill("web", v.Servers["web"][2], addr("0.0.0.0:80")),
		)
		for _, e := range out.Exchanges {
			if e.Backend != "web" || e.At.Before(start) || e.At.After(time.Now()) {
				t.Errorf("got %+v", e)
			}
		}
		got := rawReply(out, "web1")
		if len(got) != 3 || !strings.HasPrefix(got[0], "set server web/web1 addr 10.0.0.1 port 80: IP changed from '") {
			t.Fatalf("got %q", got)
		}
		if d := cmp.Diff([]string{"set server web/web1 weight 100: ", "set server web/web1 state ready: "}, got[1:]); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"set server web/web2 weight 7: "}, rawReply(out, "web2")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"set server web/web99 addr 10.0.0.9 port 80: No such server."}, rawReply(out, "web99")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got := rawReply(out, "web3"); got != nil {
			t.Errorf("what was never sent: %q", got)
		}
	})
}

func TestExchangesOfManyLines(t *testing.T) {
	f := haproxytest.NewFake(t, "3.2", haproxytest.Backend{Name: "web", Slots: 600})
	on := newTarget(t, "3.2", f.Socket, fake{f})
	v := on.view(t, "web")
	out := on.apply(t, v.Process, fills(v, "web", 600)...)
	if n := len(out.Exchanges); n != 3*600 {
		t.Fatalf("%d exchanges", n)
	}
	for _, e := range out.Exchanges {
		if !strings.HasPrefix(e.Command, "set server web/"+e.Slot+" ") || strings.Contains(e.Command, ";") || !e.Answered {
			t.Fatalf("got %+v", e)
		}
	}
}

// What was sent to a HAProxy that then hung is told, and what was not is not.
func TestExchangesOfUnknownOutcome(t *testing.T) {
	f, on := made(t, "3.0")
	v := on.view(t, "web")
	cont := f.Hang()
	defer cont()
	change := fill("web", v.Servers["web"][0], addr("10.0.0.1:80"))
	// the process was seen just now: the commands go out at once
	out, err := on.client.Apply(shortly(t, 40*time.Millisecond), v.Process, []slots.Change{change})
	wantFault(t, err, slots.Hung, true)
	if d := cmp.Diff([]string{"set server web/web1 addr 10.0.0.1 port 80: (no answer)"}, rawReply(out, "web1")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	out, err = on.client.Apply(shortly(t, 40*time.Millisecond), v.Process, []slots.Change{change})
	wantFault(t, err, slots.Hung, false)
	if len(out.Exchanges) != 0 {
		t.Errorf("nothing was sent, and yet: %+v", out.Exchanges)
	}
}
