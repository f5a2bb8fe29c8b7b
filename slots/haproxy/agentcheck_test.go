package haproxy_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// agent answers agent-checks with a word.
func agent(t *testing.T, word string) (port int, say func(string)) {
	t.Helper()
	var says atomic.Value
	says.Store(word)
	at := haproxytest.Answer(t, "tcp", func(c net.Conn) { fmt.Fprintf(c, "%s\n", says.Load()) })
	return at.(*net.TCPAddr).Port, func(word string) { says.Store(word) }
}

// The agent of a slot that leaves its traffic is disabled, so that it cannot bring it
// back, and enabled when the slot gets traffic. The weight is the agent's.
func TestAgentChecks(t *testing.T) {
	port, say := agent(t, "up")
	web := haproxytest.Backend{Name: "web", Slots: 2, Agent: fmt.Sprintf("agent-check agent-addr 127.0.0.1 agent-port %d agent-inter 50ms", port)}
	everywhere(t, []haproxytest.Backend{web, {Name: "plain", Slots: 1}}, func(t *testing.T, on *target) {
		say("up")
		isReal := strings.Contains(t.Name(), "real")
		v := on.view(t, "web", "plain")
		if s := v.Servers["web"][0]; !s.Agent || !s.AgentOn || v.Servers["plain"][0].Agent {
			t.Fatalf("shown as %+v and %+v", s, v.Servers["plain"][0])
		}
		wants := func(class slots.Class, on1 bool, weight int) {
			t.Helper()
			deadline := time.Now().Add(10 * time.Second)
			for {
				s := on.view(t, "web").Servers["web"][0]
				if s.Class == class && s.AgentOn == on1 && (weight == 0 || s.Weight == weight) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("shown as %+v", s)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		to := func(c slots.Change, class slots.Class) {
			t.Helper()
			c.Backend, c.Slot, c.From = "web", "web1", on.view(t, "web").Servers["web"][0]
			c.Class, c.SetClass = class, true
			if out := on.apply(t, v.Process, c); len(out.Refusals) > 0 {
				t.Fatal(out.Refusals)
			}
		}
		to(slots.Change{Kind: slots.Fill, Addr: addr("127.9.0.1:8080"), Weight: 7}, slots.Ready)
		if s := on.view(t, "web").Servers["web"][0]; !s.Up {
			t.Errorf("filled, and shown as %+v", s)
		}
		wants(slots.Ready, true, 7)
		if isReal {
			say("up 50%")
			wants(slots.Ready, true, 50)
			say("ready")
		}
		for _, class := range []slots.Class{slots.Maint, slots.Drain} {
			to(slots.Change{Kind: slots.Empty}, class)
			if isReal { // it asks the agent four times meanwhile
				time.Sleep(200 * time.Millisecond)
			}
			wants(class, false, 0)
			to(slots.Change{Kind: slots.Enable}, slots.Ready)
			wants(slots.Ready, true, 0)
		}
		if isReal {
			say("maint")
			wants(slots.Maint, true, 0)
		}
	})
}

// After a restart from the state file the agent of a slot that is out of service stays
// disabled.
func TestAgentStaysDisabledOverARestart(t *testing.T) {
	t.Parallel()
	port, _ := agent(t, "ready")
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			web := haproxytest.Backend{Name: "web", Slots: 3, Agent: fmt.Sprintf("agent-check agent-addr 127.0.0.1 agent-port %d agent-inter 50ms", port)}
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{web}, StateFile: true})
			c := saver(t, p.Socket, filepath.Join(p.StateDir(), "{backend}"))
			v, err := c.View(t.Context(), []string{"web"}, false)
			if err != nil {
				t.Fatal(err)
			}
			servers := v.Servers["web"]
			for i, class := range []slots.Class{slots.Ready, slots.Maint, slots.Drain} {
				servers[i].Addr, servers[i].Class = addr("127.9.0.%d:80", i+1), class
			}
			if err := c.Save("web", servers); err != nil {
				t.Fatal(err)
			}
			p.Restart()
			time.Sleep(300 * time.Millisecond)
			if v, err = c.View(t.Context(), []string{"web"}, false); err != nil {
				t.Fatal(err)
			}
			for i, s := range v.Servers["web"] {
				if s.Class != servers[i].Class || s.AgentOn != (s.Class == slots.Ready) {
					t.Errorf("starts as %+v", s)
				}
			}
		})
	}
}
