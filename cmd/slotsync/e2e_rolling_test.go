package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A rollout replaces n servers, batch at a time, every so often.
type rollout struct {
	n, batch int
	every    time.Duration
	check    string // HAProxy's
}

// rollouts are those that are tried; the long ones only where there is time.
func rollouts() (out []rollout) {
	for _, check := range []string{"", "check inter 200ms"} {
		out = append(out, rollout{10, 1, time.Second, check}, rollout{40, 10, time.Second, check}, rollout{10, 3, time.Second, check})
		if long() {
			out = append(out, rollout{10, 1, 10 * time.Second, check}, rollout{40, 1, time.Second, check}, rollout{200, 1, time.Second, check},
				rollout{200, 50, 2 * time.Second, check})
		}
	}
	return out
}

// TestRollingDeployment replaces all servers of a backend as deployments do, under load:
// nothing is held, no server that was delisted keeps its traffic, no request fails.
func TestRollingDeployment(t *testing.T) {
	for i, plan := range rollouts() {
		version := haproxytest.Versions[i%len(haproxytest.Versions)]
		t.Run(fmt.Sprintf("%d by %d every %s, %q, %s", plan.n, plan.batch, plan.every, plan.check, version), func(t *testing.T) {
			t.Parallel()
			plan.run(t, version)
		})
	}
}

func (plan rollout) run(t *testing.T, version string) {
	e := haproxytest.Backend{Name: "web", Slots: plan.n + 2*plan.batch, Check: plan.check, Frontend: haproxytest.FreePort(t),
		Options: []string{"option redispatch 1"}}
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{e}})
	source := &toldSource{next: make(chan []discovery.Endpoint, 1), said: make(chan time.Time, 4*plan.n+9)}
	r := newRig(t, map[string]string{"edge": p.Socket}, backendOf(source))
	var serving []*webServer
	start := func(k int) (out []*webServer) {
		for range k {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := startWebServer(fmt.Sprintf("web-%d", len(serving)), l)
			t.Cleanup(s.Close)
			out = append(out, s)
		}
		return out
	}
	list := func(servers []*webServer) {
		t.Helper()
		var eps []discovery.Endpoint
		for _, s := range servers {
			eps = append(eps, discovery.Endpoint{Addr: s.Addr})
		}
		source.next <- eps
		eventually(t, 15*time.Second, serves(t, p.Socket, addresses(eps)...))
	}
	serving = start(plan.n)
	r.start()
	list(serving)
	load, stop := startLoad(t, 4, 20*time.Millisecond, traffic.Target{Name: "edge", Addr: fmt.Sprintf("127.0.0.1:%d", e.Frontend)})
	look := look(t, r, p.Socket)
	tick := time.NewTicker(plan.every)
	defer tick.Stop()
	for done := 0; done < plan.n; done += plan.batch {
		k := min(plan.batch, plan.n-done)
		old, fresh := serving[:k], start(k)
		list(slices.Concat(serving, fresh))
		serving = slices.Concat(serving[k:], fresh)
		list(serving)
		<-tick.C
		for _, s := range old { // what runs is answered, as a server does that is told to stop
			if err := s.http.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fewest, held := look.seen(t)
	load.reaches(t, 50)
	stop()
	a := load.Account()
	if a.Failed > 0 {
		t.Errorf("%d of %d requests failed:\n%s", a.Failed, a.Requests, strings.Join(a.Failures, "\n"))
	}
	if held["web"] != "" || fewest["web"] < plan.n {
		t.Errorf("held: %v; ready slots were as few as %v", held, fewest)
	}
}

// A webServer answers every request with its own name.
type webServer struct {
	Addr netip.AddrPort
	http *http.Server
}

func startWebServer(name string, l net.Listener) *webServer {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(traffic.InstanceHeader, name)
		_, _ = fmt.Fprintln(w, name)
	}
	s := &webServer{l.Addr().(*net.TCPAddr).AddrPort(), &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = s.http.Serve(l) }() // ends at Close
	return s
}

func (s *webServer) Close() { _ = s.http.Close() }
