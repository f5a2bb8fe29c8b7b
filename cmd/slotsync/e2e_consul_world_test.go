package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

// A consulWorld is a server and a client agent of a real Consul, whose services
// change all the time, and a watch of each that asks the client agent.
type consulWorld struct {
	t             *testing.T
	server, agent *consultest.Server
	token         func() string // nil without ACLs
	services      []*churned
}

// gone is the version of a service that is not registered.
const gone = -1

// A churned service has versions: of each its instances have a port of their own,
// so that what is published shows which version it is.
type churned struct {
	name string

	mu        sync.Mutex // guards following
	versions  []int      // that were registered, or may have been, oldest first
	at        int        // which of them was published last
	published int        // that version; -2 before the first
	failed    error      // the last answer, if it was an error
	wrong     string     // what was published and never registered, or no longer
}

func newConsulWorld(t *testing.T, server, agent *consultest.Server, n int) *consulWorld {
	t.Helper()
	w := &consulWorld{t: t, server: server, agent: agent}
	for i := range n {
		w.services = append(w.services, &churned{name: fmt.Sprintf("service-%d", i), published: -2})
	}
	w.renew()
	return w
}

// watch begins to watch all services over one client.
func (w *consulWorld) watch(o consul.Options) {
	w.t.Helper()
	o.Token = w.token
	client, err := consul.NewClient(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, s := range w.services {
		source, err := client.Source(consul.Query{Service: s.name})
		if err != nil {
			w.t.Fatal(err)
		}
		all.Go(func() { discovery.Watch(ctx, source, s.publish) })
	}
	w.t.Cleanup(func() {
		cancel()
		all.Wait()
		client.Close()
	})
}

// publish compares an answer with what was registered: it may be late, but it must
// have been so, and must not go back.
func (s *churned) publish(u discovery.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = u.Err; u.Err != nil {
		return
	}
	version := versionOf(u.Reading)
	for i := s.at; i < len(s.versions); i++ {
		if s.versions[i] == version {
			s.at, s.published = i, version
			return
		}
	}
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("%s: published were %v (not whole %v, %s), after %d of %v", s.name, u.Reading.Endpoints(), !u.Reading.Whole(), u.Reading.Note, s.published, s.versions)
	}
}

func countOf(version int) int { return 1 + version%3 }

// versionOf returns which version r is, or one that does not exist.
func versionOf(r discovery.Reading) int {
	eps := r.Endpoints()
	if len(eps) == 0 {
		return gone
	}
	version := int(eps[0].Addr.Port()) - 1000
	for _, e := range eps {
		if int(e.Addr.Port()) != version+1000 {
			return -3
		}
	}
	if len(eps) != countOf(version) {
		return -3
	}
	return version
}

// next notes a further version of s, and returns how it is registered.
func (s *churned) next() []consultest.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := slices.Max(append([]int{gone}, s.versions...)) + 1
	s.versions = append(s.versions, version)
	var regs []consultest.Registration
	for i := range 3 {
		regs = append(regs, consultest.Registration{
			Service: s.name, ID: fmt.Sprintf("%s-%d", s.name, i), Addr: fmt.Sprintf("10.0.0.%d", i+1), Port: 1000 + version, Gone: i >= countOf(version),
		})
	}
	return regs
}

// current says what keeps s from being known as it is.
func (s *churned) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.versions[len(s.versions)-1]; s.published != last {
		return fmt.Sprintf("%s is at version %d of %d: %v", s.name, s.published, last, s.failed)
	}
	return ""
}

// churn changes services until the world is renewed.
func (w *consulWorld) churn() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			// One transaction each, of which all is registered or nothing.
			brief, end := context.WithTimeout(ctx, time.Second)
			_ = w.server.Put(brief, w.services[rand.N(len(w.services))].next()...) // the server may be dead
			end()
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// renew registers a further version of every service, as soon as the server lets
// it.
func (w *consulWorld) renew() {
	w.t.Helper()
	var pending [][]consultest.Registration
	for _, s := range w.services {
		pending = append(pending, s.next())
	}
	deadline := time.Now().Add(time.Minute)
	for len(pending) > 0 {
		n := min(len(pending), 20)
		if err := w.server.Put(w.t.Context(), slices.Concat(pending[:n]...)...); err == nil {
			pending = pending[n:]
		} else if time.Now().After(deadline) {
			w.t.Fatal(err)
		} else {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// lose notes that nothing is registered any more.
func (w *consulWorld) lose() {
	for _, s := range w.services {
		s.mu.Lock()
		s.versions = append(s.versions, gone)
		s.mu.Unlock()
	}
}

// settle renews everything, and returns how long after a plain read at the agent
// shows it every watch does so too.
func (w *consulWorld) settle(most time.Duration) time.Duration {
	w.t.Helper()
	w.renew()
	last := w.services[len(w.services)-1]
	eventually(w.t, time.Minute, func() string { return w.shown(last) })
	begun := time.Now()
	eventually(w.t, most, func() string {
		for _, s := range w.services {
			if wrong := s.current(); wrong != "" {
				return wrong
			}
		}
		return ""
	})
	took := time.Since(begun)
	for _, s := range w.services {
		s.mu.Lock()
		if s.wrong != "" {
			w.t.Error(s.wrong)
		}
		s.mu.Unlock()
	}
	return took
}

// shown says what keeps a plain read at the agent from showing s as it is.
func (w *consulWorld) shown(s *churned) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.agent.URL()+"/v1/health/service/"+s.name, nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("X-Consul-Token", w.agent.Token())
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var entries []struct{ Service struct{ Port int } }
	if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
		return err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := s.versions[len(s.versions)-1] + 1000; len(entries) == 0 || entries[0].Service.Port != want {
		return fmt.Sprintf("the agent shows %v of %s, want %d", entries, s.name, want)
	}
	return ""
}

// noticed returns when so many watches have had an error for their last answer.
func (w *consulWorld) noticed(n int) {
	w.t.Helper()
	eventually(w.t, time.Minute, func() string {
		failing := 0
		for _, s := range w.services {
			s.mu.Lock()
			if s.failed != nil {
				failing++
			}
			s.mu.Unlock()
		}
		if failing < n {
			return fmt.Sprintf("%d watches are failing, want %d", failing, n)
		}
		return ""
	})
}

// quiet measures what nothing costs.
func (w *consulWorld) quiet(d time.Duration) string {
	before := processorTime(w.t)
	time.Sleep(d)
	used := processorTime(w.t) - before
	return fmt.Sprintf("%d connections to the agent; at rest %.1f %% of a processor", w.agent.Connections(), 100*used.Seconds()/d.Seconds())
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// caFile writes what a client trusts.
func caFile(t *testing.T, a *consultest.Authority) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
