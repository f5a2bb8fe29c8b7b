package consultest

import (
	"fmt"
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
// queries included, from a catalogue that tests set, or as they script.
type Fake struct {
	*discoverytest.Scripted

	mu       sync.Mutex // guards following
	services map[string][]*api.ServiceEntry
	indexes  map[string]uint64
	index    uint64
	hidden   map[string][]string // nodes by token, see Hide
	stream   bool

	self      http.HandlerFunc // nil: the usual one
	selfAsked int
}

// NewFake starts a fake without services. It stops when the test, or the bubble,
// ends.
func NewFake(tb testing.TB) *Fake {
	tb.Helper()
	f := &Fake{services: map[string][]*api.ServiceEntry{}, indexes: map[string]uint64{}, index: 10, hidden: map[string][]string{}}
	f.Scripted = discoverytest.NewScripted(tb, f, f.catalogue)
	return f
}

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
	f.Wake()
}

// ServeHTTP implements [http.Handler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, selfPath) {
		f.tellSelf(w, r)
		return
	}
	f.Scripted.ServeHTTP(w, r)
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
	index, err := parseIndex(query.Get("index"))
	wait, err2 := parseWait(query.Get("wait"))
	switch {
	case err != nil || err2 != nil:
		http.Error(w, "Invalid index or wait time", http.StatusBadRequest)
	case query.Has("stale") && query.Has("consistent"):
		http.Error(w, "Cannot specify ?stale with ?consistent, conflicting semantics.", http.StatusBadRequest)
	case f.Hold(r.Context(), wait, func() bool { return f.beyond(service, index) }):
		f.answer(w, r, service)
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

// beyond reports whether the index of service is higher than n, or n is none.
func (f *Fake) beyond(service string, n uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n == 0 || f.indexOf(service) > n
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
	f.Wake()
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
