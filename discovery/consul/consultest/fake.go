package consultest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A Fake answers GET /v1/health/service/NAME as a Consul server does, blocking
// queries included, from a catalogue that tests set, or as they script. It runs
// in memory and on virtual time in a bubble of testing/synctest: clients reach
// it by [Fake.Dial].
type Fake struct {
	listener *discoverytest.Pipes
	server   *http.Server

	mu       sync.Mutex // guards following
	services map[string][]*api.ServiceEntry
	indexes  map[string]uint64
	index    uint64
	moved    chan struct{} // closed and replaced when an index moves
	headers  http.Header   // beside or instead of the usual ones
	script   []http.HandlerFunc
	always   http.HandlerFunc
	around   func(http.HandlerFunc) http.HandlerFunc
	asked    []*http.Request

	self      http.HandlerFunc // nil: the usual one
	selfAsked int
}

// NewFake starts a fake without services. It stops when the test, or the bubble,
// ends.
func NewFake(tb testing.TB) *Fake {
	tb.Helper()
	f := &Fake{
		listener: discoverytest.NewPipes(), services: map[string][]*api.ServiceEntry{}, indexes: map[string]uint64{},
		index: 10, moved: make(chan struct{}), headers: http.Header{},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.server.Serve(f.listener) // it ends by Close
	}()
	tb.Cleanup(func() {
		f.Close()
		<-done
	})
	return f
}

// Close ends all connections and refuses further ones. It may be called again.
func (f *Fake) Close() { _ = f.server.Close() } // nothing else is waited for

// Dial connects to the fake, whatever the address; it fits
// [http.Transport].DialContext.
func (f *Fake) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return f.listener.Dial(ctx, network, address)
}

// Refuse makes Dial fail as a closed port does, and ends the connections that
// there are; or ends that.
func (f *Fake) Refuse(on bool) { f.listener.Refuse(on) }

// Limit makes further connections end at once while n are open, as agents up to
// Consul 1.8 do; 0 ends that.
func (f *Fake) Limit(n int) { f.listener.Limit(n) }

// Connections returns how many of [Fake.Dial] are open, and how many were at most.
func (f *Fake) Connections() (open, most int) { return f.listener.Connections() }

// Set makes entries all instances of service, and moves its index.
func (f *Fake) Set(service string, entries ...*api.ServiceEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services[service] = entries
	f.move(service)
}

// SetQuietly is Set without moving the index, which is what a fault looks like.
func (f *Fake) SetQuietly(service string, entries ...*api.ServiceEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services[service] = entries
}

// Touch moves the index of service though nothing is different.
func (f *Fake) Touch(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.move(service)
}

// SetIndex makes n the index of all services, which may be lower than before.
func (f *Fake) SetIndex(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index = n
	for name := range f.indexes {
		f.indexes[name] = n
	}
	f.wake()
}

// Header makes every reply of the catalogue carry a header; an empty value takes
// it away.
func (f *Fake) Header(name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers.Set(name, value)
}

// Script makes h answer the next requests, one each, before the catalogue.
func (f *Fake) Script(h ...http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, h...)
}

// Always makes h answer every request; nil ends that.
func (f *Fake) Always(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always = h
	f.wake()
}

// Around makes wrap see every request from now on: its handler calls next, which
// answers.
func (f *Fake) Around(wrap func(next http.HandlerFunc) http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.around = wrap
}

// Requests returns what was asked so far, oldest first.
func (f *Fake) Requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*http.Request(nil), f.asked...)
}

// ServeHTTP implements [http.Handler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, selfPath) {
		f.tellSelf(w, r)
		return
	}
	f.mu.Lock()
	f.asked = append(f.asked, r.Clone(context.WithoutCancel(r.Context())))
	h := f.always
	if h == nil && len(f.script) > 0 {
		h, f.script = f.script[0], f.script[1:]
	}
	wrap := f.around
	f.mu.Unlock()
	if h == nil {
		h = f.catalogue
	}
	if wrap != nil {
		h = wrap(h)
	}
	h(w, r)
}

// catalogue answers as a server: a blocking query is held until the index is
// beyond the one that was named, or its wait has passed.
func (f *Fake) catalogue(w http.ResponseWriter, r *http.Request) {
	service, ok := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	if !ok || r.Method != http.MethodGet {
		http.Error(w, "the fake knows no "+r.Method+" "+r.URL.Path, http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	beyond, err := parseIndex(query.Get("index"))
	wait, err2 := parseWait(query.Get("wait"))
	switch {
	case err != nil || err2 != nil:
		http.Error(w, "Invalid index or wait time", http.StatusBadRequest)
	case query.Has("stale") && query.Has("consistent"):
		http.Error(w, "Cannot specify ?stale with ?consistent, conflicting semantics.", http.StatusBadRequest)
	case f.hold(r.Context(), service, beyond, wait):
		f.answer(w, service)
	}
}

func parseIndex(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseUint(s, 10, 64)
}

func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 5 * time.Minute, nil
	}
	return time.ParseDuration(s)
}

// hold returns false if the client has gone.
func (f *Fake) hold(ctx context.Context, service string, beyond uint64, wait time.Duration) bool {
	timeout := time.NewTimer(wait + wait/32)
	defer timeout.Stop()
	for {
		f.mu.Lock()
		over, moved := beyond == 0 || f.indexOf(service) > beyond, f.moved
		f.mu.Unlock()
		if over {
			return true
		}
		select {
		case <-moved:
		case <-timeout.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

func (f *Fake) answer(w http.ResponseWriter, service string) {
	f.mu.Lock()
	entries, index := f.services[service], f.indexOf(service)
	extra := maps.Clone(f.headers)
	f.mu.Unlock()
	if entries == nil {
		entries = []*api.ServiceEntry{}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Consul-Index", strconv.FormatUint(index, 10))
	h.Set("X-Consul-KnownLeader", "true")
	h.Set("X-Consul-LastContact", "0")
	maps.Copy(h, extra)
	maps.DeleteFunc(h, func(_ string, v []string) bool { return v[0] == "" })
	_ = json.NewEncoder(w).Encode(entries) // the client may have gone
}

// indexOf needs mu; an absent service has the catalogue's index.
func (f *Fake) indexOf(service string) uint64 {
	if n, ok := f.indexes[service]; ok {
		return n
	}
	return f.index
}

// move needs mu.
func (f *Fake) move(service string) {
	f.index++
	f.indexes[service] = f.index
	f.wake()
}

// wake needs mu.
func (f *Fake) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}

// Instance returns a passing instance on a node of its own, as the catalogue has
// it.
func Instance(id, addr string, port int) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node: &api.Node{Node: "node-" + id, Address: "192.0.2.1"},
		Service: &api.AgentService{
			ID: id, Service: "web", Address: addr, Port: port, Weights: api.AgentWeights{Passing: 1, Warning: 1},
		},
		Checks: api.HealthChecks{
			{CheckID: "serfHealth", Status: api.HealthPassing},
			{CheckID: "service:" + id, Status: api.HealthPassing, ServiceID: id},
		},
	}
}

// Instances returns n of them, from 10.0.0.1 on.
func Instances(n int) []*api.ServiceEntry {
	out := make([]*api.ServiceEntry, n)
	for i := range out {
		out[i] = Instance(fmt.Sprintf("web-%d", i+1), fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 8080)
	}
	return out
}
