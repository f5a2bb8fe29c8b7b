// Package nomadtest gives tests a Nomad that answers as told.
package nomadtest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A Fake answers GET /v1/service/NAME as a Nomad server does, blocking queries
// included, from a catalogue that tests set, or as they script. It is also a handler
// for [net/http/httptest].
type Fake struct {
	*discoverytest.Scripted

	mu       sync.Mutex // guards following
	services map[place][]*api.ServiceRegistration
	index    uint64
	token    string // that is wanted; empty: none is
	blocking int    // queries that are under way
	most     int
}

type place struct{ namespace, service string }

// NewFake starts a fake without services. It stops when the test, or the bubble,
// ends.
func NewFake(tb testing.TB) *Fake {
	tb.Helper()
	f := &Fake{services: map[place][]*api.ServiceRegistration{}, index: 10}
	f.Scripted = discoverytest.NewScripted(tb, f, f.usual)
	return f
}

// Set makes list all instances of a service in the namespace default, and moves
// the index, which is one for all services.
func (f *Fake) Set(service string, list ...*api.ServiceRegistration) {
	f.SetIn("default", service, list...)
}

// SetIn is Set for another namespace.
func (f *Fake) SetIn(namespace, service string, list ...*api.ServiceRegistration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range list {
		one.ServiceName, one.Namespace = service, namespace
	}
	f.services[place{namespace, service}] = list
	f.index++
	f.Wake()
}

// SetIndex makes n the index, which may be lower than before.
func (f *Fake) SetIndex(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index = n
	f.Wake()
}

// Token makes the fake want a token from now on.
func (f *Fake) Token(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
}

// Blocking returns how many blocking queries were under way at most.
func (f *Fake) Blocking() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// usual answers as the catalogue does, if the token is the one that is wanted.
func (f *Fake) usual(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	denied := f.token != "" && r.Header.Get("X-Nomad-Token") != f.token
	f.mu.Unlock()
	if denied {
		discoverytest.Reply(http.StatusForbidden, "Permission denied")(w, r)
		return
	}
	f.catalogue(w, r)
}

// catalogue answers as a server: a blocking query is held until the index is
// beyond the one that was named, or its wait has passed.
func (f *Fake) catalogue(w http.ResponseWriter, r *http.Request) {
	service, ok := strings.CutPrefix(r.URL.Path, "/v1/service/")
	if !ok || r.Method != http.MethodGet || strings.Contains(service, "/") {
		http.Error(w, "the fake knows no "+r.Method+" "+r.URL.Path, http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	beyond, wait := uint64(0), 5*time.Minute
	var err, err2 error
	if text := query.Get("index"); text != "" {
		beyond, err = strconv.ParseUint(text, 10, 64)
	}
	if text := query.Get("wait"); text != "" {
		wait, err2 = time.ParseDuration(text)
	}
	namespace := query.Get("namespace")
	if namespace == "" {
		namespace = "default"
	}
	switch {
	case err != nil || err2 != nil:
		http.Error(w, "Invalid index or wait time", http.StatusBadRequest)
	case f.hold(r.Context(), beyond, wait):
		f.answer(w, place{namespace, service})
	}
}

// hold returns false if the client has gone.
func (f *Fake) hold(ctx context.Context, beyond uint64, wait time.Duration) bool {
	if beyond == 0 {
		return true
	}
	f.count(1)
	defer f.count(-1)
	return f.Hold(ctx, wait, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.index > beyond
	})
}

func (f *Fake) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocking += n
	f.most = max(f.most, f.blocking)
}

func (f *Fake) answer(w http.ResponseWriter, p place) {
	f.mu.Lock()
	list, index := f.services[p], f.index
	f.mu.Unlock()
	if list == nil {
		list = []*api.ServiceRegistration{}
	}
	f.Answer(w, list, healthy(index)...)
}

// Instance returns one instance, as the catalogue has it; n is in its address and
// its IDs.
func Instance(n int, tags ...string) *api.ServiceRegistration {
	alloc := fmt.Sprintf("%08x-b055-52ac-f56e-358f3f7412f6", n)
	return &api.ServiceRegistration{
		ID: "_nomad-task-" + alloc + "-group-web-web-http", ServiceName: "web", Namespace: "default",
		NodeID: "7406e90b-de16-d118-80fe-60d0f2730cb3", Datacenter: "dc1", JobID: "web", AllocID: alloc,
		Tags: tags, Address: fmt.Sprintf("10.0.%d.%d", n>>8, n&255), Port: 8080, CreateIndex: 11, ModifyIndex: 11,
	}
}

// Instances returns n of them, from 10.0.0.1 on.
func Instances(n int) []*api.ServiceRegistration {
	out := make([]*api.ServiceRegistration, n)
	for i := range out {
		out[i] = Instance(i + 1)
	}
	return out
}

// Good answers 200 with an index and the headers of a healthy server; header adds
// to them or replaces them.
func Good(index uint64, body string, header ...string) http.HandlerFunc {
	usual := append([]string{"Content-Type", "application/json"}, healthy(index)...)
	return discoverytest.Reply(http.StatusOK, body, append(usual, header...)...)
}

// healthy returns the headers of a healthy server, name and value in turn.
func healthy(index uint64) []string {
	return []string{"X-Nomad-Index", strconv.FormatUint(index, 10), "X-Nomad-KnownLeader", "true", "X-Nomad-LastContact", "0"}
}
