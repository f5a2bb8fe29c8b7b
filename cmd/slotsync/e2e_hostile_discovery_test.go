package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// meant are the only commands that the agent ever means to send.
var meant = regexp.MustCompile(`^(prompt|show (info|version|resolvers)|show servers state web|show stat (web|\d+) 4 -1|wait \d+ms|` +
	`set server web/web\d+ (addr 127\.0\.0\.9 port 80\d\d|state (ready|drain|maint)|weight \d+)|set weight web/web\d+ \d+|)$`)

// A registration is an address and port as Consul takes them, and why they are
// refused.
type registration struct {
	address, reason string
	port            int
}

func hostileRegistrations() []registration {
	return []registration{
		{"127.0.0.9;disable server web/web1", discovery.BadAddress, 8001},
		{"127.0.0.9\nset server web/web1 state maint", discovery.BadAddress, 8002},
		{"127.0.0.9 port 1\r\nshutdown sessions server web/web1", discovery.BadAddress, 8003},
		{"127.0.0.9\x00;disable server web/web1", discovery.BadAddress, 8004},
		{"localhost", discovery.BadAddress, 8005},
		{"127.0.0.9", discovery.BadPort, 70000},
		{"127.0.0.9", discovery.BadPort, 0},
		{"127.0.0.9", discovery.BadPort, -1},
		{"169.254.169.254", discovery.LinkLocal, 80},
		{"::ffff:169.254.169.254", discovery.LinkLocal, 80},
		{"fd00:ec2::254", discovery.Metadata, 80},
		{"fe80::1%lo", discovery.BadAddress, 80},
		{"224.0.0.1", discovery.Multicast, 80},
		{"255.255.255.255", discovery.Multicast, 80},
	}
}

// TestHostileRegistrations registers what Consul takes and HAProxy must never
// see, beside good instances, and beside a victim that somebody would like to
// take out of service.
func TestHostileRegistrations(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	hostile := hostileRegistrations()
	want := map[string]int{}
	for i, h := range hostile {
		s.Register("web", fmt.Sprintf("bad-%d;disable server web/web1\n", i), h.address, h.port)
		want[h.reason]++
	}
	const good = 4
	for i := range good {
		s.Register("web", fmt.Sprintf("good-%d", i), "127.0.0.9", 8090+i)
	}
	s.Register("we;b x\nshow info", "odd", "127.0.0.9", 8080)

	sockets, processes := three(t, haproxytest.Backend{Name: "web", Slots: 30})
	relays := map[string]*haproxytest.Relay{}
	for name, socket := range sockets {
		relays[name] = haproxytest.NewRelay(t, socket)
		sockets[name] = relays[name].Socket
	}
	r := newRig(t, sockets, backendOf(consulSource(t, consul.Options{Address: s.URL(), Wait: time.Second}, "web")))
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(good) })
	check := nothingLeaves(processes)
	s.Register("web", "late", "127.0.0.9;disable server web/web1", 8006)
	want[discovery.BadAddress]++
	eventually(t, 10*time.Second, func() string {
		got := map[string]int{}
		for _, x := range r.agent.Status().Sources[0].Rejected {
			got[x.Reason]++
			if strings.ContainsAny(x.Name+x.Value, "\n\r\x00") {
				return fmt.Sprintf("shown as it came: %q", x)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("rejected %v, want %v", got, want)
		}
		return ""
	})
	s.Deregister("good-0")
	eventually(t, 10*time.Second, func() string { return r.inStep(good - 1) })
	during(t, 100*time.Millisecond, func() string {
		if lost := check(); lost != "" && !strings.Contains(lost, "going DOWN") {
			return lost
		}
		return ""
	})
	for name, relay := range relays {
		sent := 0
		for _, said := range relay.Transcript() {
			for command := range strings.FieldsFuncSeq(said, func(c rune) bool { return c == ';' || c == '\n' }) {
				sent++
				if !meant.MatchString(command) {
					t.Errorf("%s was sent %q", name, command)
				}
			}
		}
		if sent == 0 {
			t.Errorf("%s: nothing was sent: this proof proves nothing", name)
		}
		if got := ready(t, sockets[name], "web"); len(got) != good-1 || slices.Contains(got, "127.0.0.9:8090") {
			t.Errorf("%s: ready are %v", name, got)
		}
	}
}
