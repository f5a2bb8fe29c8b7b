package main

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const (
	currentOverHTTPS = 2 * time.Second
	currentOverHTTP  = 15 * time.Second // where there are more watches than connections
)

// An outage is one way in which Consul goes and comes back.
type outage struct {
	name string
	long bool // only where the proofs run whole
	play func(w *consulWorld)
}

func outages() []outage {
	away := func() {
		if long() {
			time.Sleep(5 * time.Second)
		}
	}
	return []outage{
		{"the agent is killed", true, func(w *consulWorld) {
			w.agent.Kill()
			w.noticed(1)
			away()
			w.agent.Launch(true)
		}},
		{"the server is killed", true, func(w *consulWorld) {
			w.server.Kill()
			w.noticed(1)
			away()
			w.server.Launch(true)
		}},
		{"both are killed, the agent is back first", false, func(w *consulWorld) {
			w.server.Kill()
			w.agent.Kill()
			w.noticed(len(w.services) / 2)
			w.agent.Launch(true)
			time.Sleep(time.Second)
			w.server.Launch(true)
		}},
		{"both are killed, the server is back first", true, func(w *consulWorld) {
			w.agent.Kill()
			w.server.Kill()
			w.noticed(len(w.services) / 2)
			away()
			w.server.Launch(true)
			time.Sleep(2 * time.Second)
			w.agent.Launch(true)
		}},
		{"the server is killed, then the agent restarts, then the server", true, func(w *consulWorld) {
			w.server.Kill()
			w.noticed(1)
			w.agent.Kill()
			w.agent.Launch(true)
			time.Sleep(3 * time.Second)
			w.server.Launch(true)
		}},
		{"the agent restarts twice at once", true, func(w *consulWorld) {
			w.agent.Kill()
			w.agent.Launch(true)
			time.Sleep(time.Second)
			w.agent.Kill()
			w.agent.Launch(true)
		}},
		{"the server has lost everything", false, func(w *consulWorld) {
			w.server.Kill()
			w.noticed(1)
			w.lose()
			w.server.Launch(false)
		}},
	}
}

// TestConsulComesBack kills agents and servers of a real Consul in every order
// while services change: no watch ever tells of what was not registered, and all
// of them are current soon after the agent is.
func TestConsulComesBack(t *testing.T) {
	for _, secure := range []bool{true, false} {
		for _, n := range []int{300, 1000} {
			if !long() && (n > 300 || !secure) {
				continue
			}
			t.Run(fmt.Sprintf("%d watches, https %v", n, secure), func(t *testing.T) { comeBack(t, n, secure) })
		}
	}
}

func comeBack(t *testing.T, n int, secure bool) {
	authority := consultest.NewAuthority(t)
	server := consultest.Start(t)
	w := newConsulWorld(t, server, server.Join(t, consultest.HTTPS(authority)), n)
	o, most := consul.Options{Address: w.agent.URL()}, currentOverHTTP
	if secure {
		o = consul.Options{Address: w.agent.HTTPSURL(), TLS: longpoll.TLS{CAFile: caFile(t, authority)}}
		most = currentOverHTTPS
	}
	w.watch(o)
	begun, used := time.Now(), processorTime(t)
	t.Logf("start: all current %s after the agent", w.settle(20*time.Second))
	t.Log("quiet: " + w.quiet(time.Duration(share(20))*time.Second))
	for _, o := range outages() {
		if o.long && !long() {
			continue
		}
		stop := w.churn()
		o.play(w)
		stop()
		t.Logf("%s: all current %s after the agent", o.name, w.settle(most))
	}
	took := time.Since(begun)
	t.Logf("%d watches over %s used %.1f %% of a processor in all", n, o.Address, 100*(processorTime(t)-used).Seconds()/took.Seconds())
}

// TestConsulTokenComesBack revokes the token of all watches, and gives them
// another one later.
func TestConsulTokenComesBack(t *testing.T) {
	t.Parallel()
	n := share(1000)
	authority := consultest.NewAuthority(t)
	server := consultest.StartACL(t)
	w := newConsulWorld(t, server, server.Join(t, consultest.HTTPS(authority)), n)
	const rules = `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`
	var token atomic.Value
	token.Store(server.NewToken(rules))
	w.token = func() string { return token.Load().(string) }
	w.watch(consul.Options{Address: w.agent.HTTPSURL(), TLS: longpoll.TLS{CAFile: caFile(t, authority)}, Wait: 2 * time.Second})
	w.settle(20 * time.Second)
	for range share(30) / 3 {
		stop := w.churn()
		server.RevokeToken(w.token())
		w.noticed(n)
		stop()
		w.renew()
		token.Store(server.NewToken(rules))
		t.Logf("%d watches were current %s after the agent and the new token", n, w.settle(currentOverHTTPS))
	}
}

// TestNothingIsLostBehindAnAgent has the whole program ask an agent whose servers
// go, and which goes itself: no slot leaves service, and afterwards all is filled
// as Consul says.
func TestNothingIsLostBehindAnAgent(t *testing.T) {
	t.Parallel()
	const backends, each = 10, 3
	server := consultest.Start(t)
	client := server.Join(t)
	register := func(n int) {
		t.Helper()
		var regs []consultest.Registration
		for b := range backends {
			for i := range each + 1 {
				name := fmt.Sprintf("web-%d-", b)
				regs = append(regs, consultest.Registration{Service: name, ID: fmt.Sprintf("%s-%d", name, i), Addr: "127.0.0.9", Port: 8000 + i, Gone: i >= n})
			}
		}
		if err := server.Put(t.Context(), regs...); err != nil {
			t.Fatal(err)
		}
	}
	register(each)
	var templates []haproxytest.Backend
	var watched []agent.Backend
	for b := range backends {
		name := fmt.Sprintf("web-%d-", b)
		templates = append(templates, haproxytest.Backend{Name: name, Slots: 6})
		backend := backendOf(consulSource(t, consul.Options{Address: client.URL()}, name))
		backend.Name, backend.Proxy, backend.Prefix = name, name, name
		watched = append(watched, backend)
	}
	version := haproxytest.Versions[len(haproxytest.Versions)-1]
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: templates})
	r := newRig(t, map[string]string{"edge": p.Socket}, watched...)
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(backends * each) })
	check := nothingLeaves(map[string]*haproxytest.Process{"edge": p})
	for _, play := range []func(){
		func() { client.Kill(); during(t, 2*time.Second, check); client.Launch(true) },
		func() { server.Kill(); during(t, 2*time.Second, check); server.Launch(true) },
		func() {
			client.Kill()
			server.Kill()
			client.Launch(true)
			during(t, 2*time.Second, check)
			server.Launch(true)
		},
	} {
		play()
		server.Await()
		client.Await()
		eventually(t, 10*time.Second, func() string { return r.inStep(backends * each) })
		during(t, time.Second/2, check)
	}
	register(each + 1)
	begun := time.Now()
	eventually(t, 15*time.Second, func() string { return r.inStep(backends * (each + 1)) })
	t.Logf("%d backends had one more slot filled %s after the last registration", backends, time.Since(begun))
	during(t, 100*time.Millisecond, check)
	register(each - 1)
	eventually(t, 15*time.Second, func() string { return r.inStep(backends * (each - 1)) })
}
