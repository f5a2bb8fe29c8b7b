package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A benchRig is two HAProxys, a Consul and the contestants.
type benchRig struct {
	tb      testing.TB
	consul  *consultest.Server
	proxies [2]*haproxytest.Process
	lanes   [len(contestants)]*benchLane
	logs    chan serverLog
	port    int // of every endpoint, each at an address of 127.0.0.0/8 of its own
	address int // the last one that was given away
	group   sync.WaitGroup
}

// A benchLane is what one contestant works on: two services that Consul knows, and
// the backends that are named like them.
type benchLane struct {
	fills, leaves         string
	fillRelay, leaveRelay *consultest.Proxy
	ports                 [2]int // of the frontends that lead to fills
	staff                 []string
}

func newBenchRig(tb testing.TB, version string) *benchRig {
	tb.Helper()
	r := &benchRig{tb: tb, consul: consultest.Start(tb), port: haproxytest.FreePort(tb), logs: make(chan serverLog, 4096)}
	tb.Cleanup(r.group.Wait)
	names := [...]string{"ours", "bare", "safe"}
	for who := range r.lanes {
		l := &benchLane{fills: "fill-" + names[who], leaves: "leave-" + names[who]}
		l.fillRelay, l.leaveRelay = consultest.Relay(tb, r.consul.HTTPAddr()), consultest.Relay(tb, r.consul.HTTPAddr())
		l.ports = [2]int{haproxytest.FreePort(tb), haproxytest.FreePort(tb)}
		r.lanes[who] = l
	}
	for i := range r.proxies {
		r.proxies[i] = haproxytest.Start(tb, haproxytest.Config{Version: version, Text: r.config(i)})
	}
	return r
}

// config lets each server have one connection at a time, so that others wait,
// and has it logged when a connection to a server is there.
func (r *benchRig) config(i int) string {
	var s strings.Builder
	fmt.Fprintf(&s, `global
  stats socket {socket} mode 600 level admin
  log %s format raw local0
  node bench%d
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout queue 1h
  retries 0
`, r.listenForLogs(i), i)
	template := "  server-template web 1-%d slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 maxconn 1\n"
	for _, l := range r.lanes {
		fmt.Fprintf(&s, "frontend %s-in\n  bind 127.0.0.1:%d\n  log global\n  option logasap\n"+
			"  log-format \"Connected %%b %%si %%ts\"\n  default_backend %s\n", l.fills, l.ports[i], l.fills)
		fmt.Fprintf(&s, "backend %s\n  log global\n"+template, l.fills, benchSlots)
		fmt.Fprintf(&s, "backend %s\n  log global\n"+template, l.leaves, benchStaff+benchSlots)
	}
	for _, b := range []string{burstOurs, burstRaw} {
		fmt.Fprintf(&s, "backend %s\n"+template, b, benchMany)
	}
	return s.String()
}

// compete sets the contestants going, until stop.
func (r *benchRig) compete() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	ours := r.lanes[slotsyncRuns]
	a := r.agent(r.consulBackend(ours.fills, ours.fillRelay), r.consulBackend(ours.leaves, ours.leaveRelay))
	group.Go(func() {
		if err := a.Run(ctx); err != nil {
			r.tb.Error(err)
		}
	})
	for _, who := range []int{bareRuns, safeRuns} {
		l := r.lanes[who]
		for service, relay := range map[string]*consultest.Proxy{l.fills: l.fillRelay, l.leaves: l.leaveRelay} {
			s := r.script(service, relay.Addr(), who == safeRuns)
			group.Go(func() {
				if err := s.run(ctx); err != nil && ctx.Err() == nil {
					r.tb.Errorf("%s %s: %v", contestants[who], service, err)
				}
			})
		}
	}
	stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	r.tb.Cleanup(stop)
	for _, l := range r.lanes {
		r.occupy(l)
	}
	return stop
}

// agent makes an agent as the program does, with its log going nowhere.
func (r *benchRig) agent(backends ...agent.Backend) *agent.Agent {
	r.tb.Helper()
	return r.agentWith(func(_ int, c slots.Conn) slots.Conn { return c }, backends...)
}

// agentWith is agent, with something around each connection.
func (r *benchRig) agentWith(around func(int, slots.Conn) slots.Conn, backends ...agent.Backend) *agent.Agent {
	r.tb.Helper()
	_, m := daemon.NewMetrics(version)
	o := agent.Options{Backends: backends, StateDir: r.tb.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: m}
	for i, p := range r.proxies {
		c, err := haproxy.New(haproxy.Options{Socket: p.Socket})
		if err != nil {
			r.tb.Fatal(err)
		}
		o.Instances = append(o.Instances, agent.Instance{Name: fmt.Sprintf("haproxy%d", i), Conn: around(i, c)})
	}
	a, err := agent.New(o)
	if err != nil {
		r.tb.Fatal(err)
	}
	return a
}

func (r *benchRig) consulBackend(service string, relay *consultest.Proxy) agent.Backend {
	r.tb.Helper()
	c, err := consul.NewClient(consul.Options{Address: "http://" + relay.Addr()})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(c.Close)
	source, err := c.Source(consul.Query{Service: service})
	if err != nil {
		r.tb.Fatal(err)
	}
	return benchBackend(service, source)
}

func benchBackend(name string, source discovery.Source) agent.Backend {
	return agent.Backend{Name: name, Proxy: name, Prefix: "web", Feeds: []agent.Feed{{Name: "bench", Source: source}}}
}

func (r *benchRig) script(service, relay string, safe bool) *script {
	s := &script{url: "http://" + relay + "/v1/health/service/" + service + "?passing", backend: service, safe: safe, slots: map[string]string{}}
	s.sockets = [2]string{r.proxies[0].Socket, r.proxies[1].Socket}
	s.http = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	r.tb.Cleanup(s.http.CloseIdleConnections)
	n := benchSlots
	if strings.HasPrefix(service, "leave-") {
		n += benchStaff
	}
	for i := range n {
		s.free = append(s.free, fmt.Sprintf("web%d", i+1))
	}
	return s
}

// host gives away an address that nobody had.
func (r *benchRig) host() string {
	r.address++
	n := r.address
	return fmt.Sprintf("127.%d.%d.%d", 20+n/62500, n/250%250, 1+n%250)
}

func (r *benchRig) hosts(n int) []string {
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = r.host()
	}
	return hosts
}

// listen serves connections until the test ends.
func (r *benchRig) listen(addr string, serve func(net.Conn)) (stop func()) {
	r.tb.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.tb.Fatal(err)
	}
	stop = sync.OnceFunc(func() { l.Close() })
	r.tb.Cleanup(stop)
	r.accept(l, serve)
	return stop
}

func (r *benchRig) accept(l net.Listener, serve func(net.Conn)) {
	r.group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.group.Go(func() { defer c.Close(); serve(c) })
		}
	})
}

// occupy gives the service that is filled an endpoint that stays, and that is
// busy with the one connection that it takes.
func (r *benchRig) occupy(l *benchLane) {
	r.tb.Helper()
	host := r.host()
	arrived := make(chan struct{}, len(l.ports))
	r.listen(fmt.Sprintf("%s:%d", host, r.port), func(c net.Conn) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c) // until HAProxy ends
	})
	r.consul.Register(l.fills, l.fills, host, r.port)
	r.logged(l.fills, comesUp)
	for _, port := range l.ports {
		for !r.taken(port, arrived) { // refused: a script's server is ready before it has its address
		}
	}
}

// taken connects to a frontend for as long as the test lasts, and reports
// whether a server took the connection.
func (r *benchRig) taken(port int, arrived <-chan struct{}) bool {
	r.tb.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	closed := make(chan struct{})
	r.group.Go(func() { defer close(closed); _, _ = io.Copy(io.Discard, c) })
	select {
	case <-arrived:
		return true
	case <-closed:
		return false
	case <-time.After(benchPatience):
		r.tb.Fatal("the endpoint that stays is not reached")
		return false
	}
}

// queue connects to each frontend, where it waits for a server that takes it.
// What is refused, as by a server that is ready before it has its address,
// connects again at once. The group is done when both have reached a server.
func (r *benchRig) queue(l *benchLane) *sync.WaitGroup {
	var group sync.WaitGroup
	for _, port := range l.ports {
		group.Go(func() {
			deadline := time.Now().Add(benchPatience)
			for time.Now().Before(deadline) {
				if err := reach(port, deadline); err == nil {
					return
				}
			}
		})
	}
	return &group
}

// reach returns nil once a server behind the frontend has answered.
func reach(port int, deadline time.Time) error {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, len(benchHello)))
	return err
}

// benchHello is what an endpoint says to everybody.
const benchHello = "hello"

// since is how long before end Consul's answer passed the relay.
func (r *benchRig) since(relay *consultest.Proxy, end time.Time) time.Duration {
	r.tb.Helper()
	took := end.Sub(relay.RespondedAt())
	if took <= 0 || took > benchPatience {
		r.tb.Fatalf("Consul's last answer came %s before the end", took)
	}
	return took
}

func (r *benchRig) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
