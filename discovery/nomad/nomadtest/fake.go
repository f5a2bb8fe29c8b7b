// Package nomadtest gives tests a Nomad that answers as told.
package nomadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A Fake answers GET /v1/service/NAME as a Nomad server does, blocking queries
// included, from a catalogue that tests set, or as they script. It runs in memory
// and on virtual time in a bubble of testing/synctest, where clients reach it by
// [Fake.Dial]; it is also a handler for [net/http/httptest].
type Fake struct {
	listener *discoverytest.Pipes
	server   *http.Server

	mu       sync.Mutex // guards following
	services map[place][]*api.ServiceRegistration
	index    uint64
	moved    chan struct{} // closed and replaced when the index moves
	headers  http.Header   // beside or instead of the usual ones
	token    string        // that is wanted; empty: none is
	script   []http.HandlerFunc
	always   http.HandlerFunc
	asked    []*http.Request
	blocking int // queries that are under way
	most     int
}

type place struct{ namespace, service string }

// NewFake starts a fake without services. It stops when the test, or the bubble,
// ends.
func NewFake(tb testing.TB) *Fake {
	tb.Helper()
	f := &Fake{
		listener: discoverytest.NewPipes(), services: map[place][]*api.ServiceRegistration{},
		index: 10, moved: make(chan struct{}), headers: http.Header{},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.server.Serve(f.listener) // it ends by Close
	}()
	tb.Cleanup(func() {
		_ = f.server.Close() // nothing else is waited for
		<-done
	})
	return f
}

// Dial connects to the fake, whatever the address; it fits
// [http.Transport].DialContext.
func (f *Fake) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return f.listener.Dial(ctx, network, address)
}

// Refuse makes Dial fail as a closed port does, and ends the connections that
// there are; or ends that.
func (f *Fake) Refuse(on bool) { f.listener.Refuse(on) }

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
	f.wake()
}

// SetIndex makes n the index, which may be lower than before.
func (f *Fake) SetIndex(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index = n
	f.wake()
}

// Header makes every reply of the catalogue carry a header; an empty value takes
// it away.
func (f *Fake) Header(name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers.Set(name, value)
}

// Token makes the fake want a token from now on.
func (f *Fake) Token(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
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

// Requests returns what was asked so far, oldest first.
func (f *Fake) Requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// Blocking returns how many blocking queries were under way at most.
func (f *Fake) Blocking() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// ServeHTTP implements [http.Handler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Clone(context.WithoutCancel(r.Context())))
	h := f.always
	if h == nil && len(f.script) > 0 {
		h, f.script = f.script[0], f.script[1:]
	}
	denied := f.token != "" && r.Header.Get("X-Nomad-Token") != f.token
	f.mu.Unlock()
	switch {
	case h != nil:
	case denied:
		h = Reply(http.StatusForbidden, "Permission denied")
	default:
		h = f.catalogue
	}
	h(w, r)
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
	timeout := time.NewTimer(wait + wait/32)
	defer timeout.Stop()
	for {
		f.mu.Lock()
		over, moved := f.index > beyond, f.moved
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

func (f *Fake) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocking += n
	f.most = max(f.most, f.blocking)
}

func (f *Fake) answer(w http.ResponseWriter, p place) {
	f.mu.Lock()
	list, index := f.services[p], f.index
	extra := maps.Clone(f.headers)
	f.mu.Unlock()
	if list == nil {
		list = []*api.ServiceRegistration{}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Nomad-Index", strconv.FormatUint(index, 10))
	h.Set("X-Nomad-KnownLeader", "true")
	h.Set("X-Nomad-LastContact", "0")
	maps.Copy(h, extra)
	maps.DeleteFunc(h, func(_ string, v []string) bool { return v[0] == "" })
	_ = json.NewEncoder(w).Encode(list) // the client may have gone
}

// wake needs mu.
func (f *Fake) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
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

// Reply answers with a status, a body and headers, name and value in turn.
func Reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may have gone
	}
}

// Good answers 200 with an index and the headers of a healthy server; header adds
// to them or replaces them.
func Good(index uint64, body string, header ...string) http.HandlerFunc {
	usual := []string{
		"Content-Type", "application/json", "X-Nomad-Index", strconv.FormatUint(index, 10),
		"X-Nomad-KnownLeader", "true", "X-Nomad-LastContact", "0",
	}
	return Reply(http.StatusOK, body, append(usual, header...)...)
}
