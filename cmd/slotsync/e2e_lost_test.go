package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	mdns "github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// leftService is how HAProxy's own log says that a server takes no more
// traffic.
var leftService = regexp.MustCompile(`Server \S+ (is going DOWN|is DOWN|is stopping|enters? drain|is in (forced )?(drain|maintenance)|was DOWN)`)

// three starts one HAProxy of each version and returns their sockets by name.
func three(t *testing.T, backend haproxytest.Backend) (map[string]string, map[string]*haproxytest.Process) {
	t.Helper()
	sockets, processes := map[string]string{}, map[string]*haproxytest.Process{}
	for _, version := range haproxytest.Versions {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{backend}})
		name := "edge-" + version
		sockets[name], processes[name] = p.Socket, p
	}
	return sockets, processes
}

// nothingLeaves returns a check that no slot of any process left service since
// it was made, going by the processes' logs.
func nothingLeaves(processes map[string]*haproxytest.Process) func() string {
	seen := map[string]int{}
	for name, p := range processes {
		seen[name] = len(p.Log())
	}
	return func() string {
		for name, p := range processes {
			if lost := leftService.FindString(p.Log()[seen[name]:]); lost != "" {
				return name + ": " + lost
			}
		}
		return ""
	}
}

func consulSource(t *testing.T, o consul.Options, service string) discovery.Source {
	t.Helper()
	client, err := consul.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	source, err := client.Source(consul.Query{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func backendOf(source discovery.Source) agent.Backend {
	return agent.Backend{Name: "web", Proxy: "web", Prefix: "web", Feeds: []agent.Feed{{Name: "test", Source: source, Key: source.String()}}}
}

// TestTheLogShowsWhatLeaves proves that the checks below can fail.
func TestTheLogShowsWhatLeaves(t *testing.T) {
	t.Parallel()
	sockets, processes := three(t, haproxytest.Backend{Name: "web"})
	for _, how := range []string{"maint", "drain"} {
		for name, socket := range sockets {
			haproxytest.Ask(t, socket, "set server web/web1 addr 127.0.0.9 port 80;set server web/web1 state ready")
			check := nothingLeaves(map[string]*haproxytest.Process{name: processes[name]})
			haproxytest.Ask(t, socket, "set server web/web1 state "+how)
			eventually(t, 15*time.Second, func() string {
				if check() == "" {
					return "the log of " + name + " does not show that a server went to " + how + ":\n" + processes[name].Log()
				}
				return ""
			})
		}
	}
}

func TestNothingIsLostWithConsul(t *testing.T) {
	t.Parallel()
	const n = 10
	register := func(s *consultest.Server) {
		for i := range n {
			s.Register("web", fmt.Sprintf("web-%d", i), "127.0.0.9", 8000+i)
		}
	}
	for _, test := range []struct {
		name  string
		acl   bool
		fault func(t *testing.T, s *consultest.Server, watch func(time.Duration), revoke func())
	}{
		{"killed and restarted", false, func(_ *testing.T, s *consultest.Server, watch func(time.Duration), _ func()) {
			s.Kill()
			watch(3 * time.Second)
			s.Restart(true)
			watch(3 * time.Second)
		}},
		{"restarted empty", false, func(_ *testing.T, s *consultest.Server, watch func(time.Duration), _ func()) {
			s.Kill()
			s.Restart(false)
			watch(6 * time.Second)
			register(s)
			watch(3 * time.Second)
		}},
		{"token revoked", true, func(_ *testing.T, _ *consultest.Server, watch func(time.Duration), revoke func()) {
			revoke()
			watch(6 * time.Second)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var s *consultest.Server
			o := consul.Options{Wait: 2 * time.Second}
			revoke := func() {}
			if test.acl {
				s = consultest.StartACL(t)
				token := s.NewToken(`service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`)
				o.Token = func() string { return token }
				revoke = func() { s.RevokeToken(token) }
			} else {
				s = consultest.Start(t)
			}
			o.Address = s.URL()
			register(s)
			sockets, processes := three(t, haproxytest.Backend{Name: "web", Slots: 20})
			r := newRig(t, sockets, backendOf(consulSource(t, o, "web")))
			r.start()
			eventually(t, 20*time.Second, func() string { return r.inStep(n) })
			check := nothingLeaves(processes)
			test.fault(t, s, func(d time.Duration) { t.Helper(); during(t, d, check) }, revoke)
			if test.acl {
				if src := r.agent.Status().Sources[0]; src.State != "failing" || !strings.Contains(src.LastError, "auth") {
					t.Errorf("the status does not say that the token is refused: %+v", src)
				}
				return
			}
			eventually(t, 40*time.Second, func() string {
				if src := r.agent.Status().Sources[0]; src.State != "ok" || src.Endpoints != n {
					return fmt.Sprintf("source: %+v", src)
				}
				return r.inStep(n)
			})
			during(t, time.Second, check)
			// And it still removes what really leaves.
			s.Deregister("web-3")
			eventually(t, 40*time.Second, func() string { return r.inStep(n - 1) })
		})
	}
}

func TestNothingIsLostWithDNS(t *testing.T) {
	t.Parallel()
	const n = 5
	for _, test := range []struct {
		name  string
		fault func(*dnstest.Server)
	}{
		{"SERVFAIL", func(s *dnstest.Server) { s.Fail("web.test.", 2) }},
		{"NXDOMAIN", func(s *dnstest.Server) { s.Remove("web.test.") }},
		{"garbage", func(s *dnstest.Server) { s.SetMode(dnstest.Garbage) }},
		{"silence", func(s *dnstest.Server) { s.SetMode(dnstest.Drop) }},
		{"closed", func(s *dnstest.Server) { s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.NewServer(t)
			s.SetA("web.test.", time.Second, dnstest.Addrs("127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15")...)
			client, err := mdns.NewClient(mdns.Options{Servers: []string{s.Addr()}, Timeout: 300 * time.Millisecond, MinRefresh: 200 * time.Millisecond, MaxRefresh: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			source, err := client.Source(mdns.Query{Record: "web.test", Type: mdns.TypeA, Port: 80})
			if err != nil {
				t.Fatal(err)
			}
			sockets, processes := three(t, haproxytest.Backend{Name: "web", Slots: 20})
			r := newRig(t, sockets, backendOf(source))
			r.start()
			eventually(t, 20*time.Second, func() string { return r.inStep(n) })
			check := nothingLeaves(processes)
			test.fault(s)
			during(t, 4*time.Second, check)
			src, held := r.agent.Status().Sources[0], r.agent.Status().Backends[0].Hold
			if src.State != "failing" && held == nil {
				t.Errorf("the fault was not noticed: %+v", src)
			}
		})
	}
}

func TestNothingIsLostToAMisspeltService(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	s.Register("web", "web-1", "127.0.0.9", 8000)
	sockets, processes := three(t, haproxytest.Backend{Name: "web", Slots: 20})
	for _, socket := range sockets {
		for i := range 5 {
			haproxytest.Ask(t, socket, fmt.Sprintf("set server web/web%d addr 127.0.0.9 port %d", i+1, 9000+i))
			haproxytest.Ask(t, socket, fmt.Sprintf("set server web/web%d state ready", i+1))
		}
	}
	r := newRig(t, sockets, backendOf(consulSource(t, consul.Options{Address: s.URL(), Wait: time.Second}, "wbe")))
	check := nothingLeaves(processes)
	r.start()
	eventually(t, 20*time.Second, func() string {
		if problem := r.agent.Status().Backends[0].Problem; !strings.Contains(problem, "never listed") {
			return "problem: " + problem
		}
		return ""
	})
	during(t, 3*time.Second, check)
	for name, socket := range sockets {
		if got := ready(t, socket, "web"); len(got) != 5 {
			t.Errorf("%s: ready are %v", name, got)
		}
	}
}

func TestRestartOfTheAgentReadsOnly(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 40}}})
		relay := haproxytest.NewRelay(t, p.Socket)
		r := newRig(t, map[string]string{"edge": relay.Socket}, backendOf(discovery.Static(loopback(8000, 30))))
		r.start()
		eventually(t, 10*time.Second, func() string { return r.inStep(30) })
		if haproxytest.Reads(relay.Transcript()) {
			t.Fatal("filling 30 slots looks like reading: this proof proves nothing")
		}
		for _, dir := range []string{r.opts.StateDir, t.TempDir()} {
			r.stop()
			relay.Forget()
			r.opts.StateDir = dir
			r.start()
			eventually(t, 10*time.Second, func() string { return r.inStep(30) })
			if _, err := r.agent.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			during(t, time.Second, func() string {
				if !haproxytest.Reads(relay.Transcript()) {
					return "a restart with nothing to do wrote: " + strings.Join(relay.Transcript(), "\n")
				}
				return ""
			})
		}
	})
}
