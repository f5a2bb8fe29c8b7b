package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
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

// config lets each server have one request at a time, so that others wait.
func (r *benchRig) config(i int) string {
	var s strings.Builder
	fmt.Fprintf(&s, `global
  stats socket {socket} mode 600 level admin
  log %s format raw local0
  node bench%d
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout queue 1h
  retries 0
`, r.logSocket(i), i)
	template := "  server-template web 1-%d slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 maxconn 1\n"
	for _, l := range r.lanes {
		fmt.Fprintf(&s, "frontend %s\n  bind 127.0.0.1:%d\n  default_backend %s\n", l.fills+"-in", l.ports[i], l.fills)
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
	return r.agentWith(func(_ int, c agent.Conn) agent.Conn { return c }, backends...)
}

// agentWith is agent, with something around each connection.
func (r *benchRig) agentWith(around func(int, agent.Conn) agent.Conn, backends ...agent.Backend) *agent.Agent {
	r.tb.Helper()
	_, m := newMetrics()
	o := agent.Options{Backends: backends, StateDir: r.tb.TempDir(), Log: newLogger(io.Discard, "text", nil), Metrics: m}
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
	return agent.Backend{Name: name, Proxy: name, Prefix: "web", Source: source, SourceName: "bench"}
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

// An endpoint tells when a request of each HAProxy reaches it.
type endpoint struct {
	host    string
	reached chan hit
	close   func()
}

// A hit is what was seen at one HAProxy.
type hit struct {
	proxy int
	at    time.Time
}

func (r *benchRig) endpoint() *endpoint {
	r.tb.Helper()
	e := &endpoint{host: r.host(), reached: make(chan hit, 64)}
	e.close = r.listen(fmt.Sprintf("%s:%d", e.host, r.port), func(c net.Conn) {
		h := hit{at: time.Now()}
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return // HAProxy has gone
		}
		_, _ = fmt.Sscanf(request.URL.Path, "/%d", &h.proxy)
		e.reached <- h
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	return e
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
// busy with the one request which it takes.
func (r *benchRig) occupy(l *benchLane) {
	r.tb.Helper()
	host := r.host()
	arrived := make(chan struct{}, len(l.ports))
	r.listen(fmt.Sprintf("%s:%d", host, r.port), func(c net.Conn) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c) // until HAProxy ends
	})
	r.consul.Register(l.fills, l.fills, host, r.port)
	r.serverLogs(l.fills, comesUp)
	for _, port := range l.ports {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			r.tb.Fatal(err)
		}
		r.tb.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			r.tb.Fatal(err)
		}
		r.wait(arrived, "the endpoint that stays is busy")
	}
}

// queue sends one request to each frontend, where it waits for a server that
// takes it. One that is refused, as by a server that is ready before it has its
// address, is sent again at once. The channels close with the good answers.
func (r *benchRig) queue(l *benchLane) []chan struct{} {
	var done []chan struct{}
	for i, port := range l.ports {
		answered := make(chan struct{})
		done = append(done, answered)
		r.group.Go(func() {
			defer close(answered)
			deadline := time.Now().Add(benchPatience)
			for time.Now().Before(deadline) {
				if status, err := get(port, i, deadline); err == nil && status == http.StatusOK {
					return
				}
			}
		})
	}
	return done
}

func get(port, proxy int, deadline time.Time) (status int, err error) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", proxy); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// both returns when the later of the two HAProxys was seen first.
func (r *benchRig) both(hits <-chan hit) time.Time {
	r.tb.Helper()
	var first [2]time.Time
	for first[0].IsZero() || first[1].IsZero() {
		h := r.next(hits)
		if first[h.proxy].IsZero() {
			first[h.proxy] = h.at
		}
	}
	if first[0].After(first[1]) {
		return first[0]
	}
	return first[1]
}

func (r *benchRig) next(hits <-chan hit) hit {
	r.tb.Helper()
	select {
	case h := <-hits:
		return h
	case <-time.After(benchPatience):
		r.tb.Fatal("an endpoint is not reached")
		return hit{}
	}
}

// since is how long before end Consul's answer passed the relay.
func (r *benchRig) since(relay *consultest.Proxy, end time.Time) time.Duration {
	r.tb.Helper()
	took := end.Sub(relay.RespondedAt())
	if took <= 0 || took > benchPatience {
		r.tb.Fatalf("Consul's last answer came %s before the end", took)
	}
	return took
}

func (r *benchRig) wait(done <-chan struct{}, what string) {
	r.tb.Helper()
	select {
	case <-done:
	case <-time.After(benchPatience):
		r.tb.Fatalf("not within %s: %s", benchPatience, what)
	}
}

func (r *benchRig) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// A serverLog is what HAProxy logs of a server, with when it came here.
type serverLog struct {
	hit
	backend string
	change  string
}

const (
	goesDown = "is going DOWN for maintenance"
	comesUp  = "is UP/READY"
)

var serverLogged = regexp.MustCompile(`Server ([^/]+)/\S+ (` + goesDown + `|` + comesUp + `)`)

// logSocket opens the socket that HAProxy i logs to.
func (r *benchRig) logSocket(i int) string {
	r.tb.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		r.tb.Fatal(err)
	}
	if err := c.SetReadBuffer(4 << 20); err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	r.group.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			at := time.Now()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if m := serverLogged.FindSubmatch(buf[:n]); m != nil {
				r.logs <- serverLog{hit{i, at}, string(m[1]), string(m[2])}
			}
		}
	})
	return path
}

// serverLogs returns when the later of the two HAProxys has logged that change
// of a server of the backend.
func (r *benchRig) serverLogs(backend, change string) time.Time {
	r.tb.Helper()
	var first [2]time.Time
	timeout := time.After(benchPatience)
	for first[0].IsZero() || first[1].IsZero() {
		select {
		case l := <-r.logs:
			if l.backend == backend && l.change == change {
				first[l.proxy] = l.at
			}
		case <-timeout:
			r.tb.Fatalf("not logged: a server of %s %s", backend, change)
		}
	}
	if first[0].After(first[1]) {
		return first[0]
	}
	return first[1]
}
