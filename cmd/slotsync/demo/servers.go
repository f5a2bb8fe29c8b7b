package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
)

// slowPath is what takes a demoServer slowAnswer; everything else is answered
// at once.
const (
	slowPath   = "/slow"
	slowAnswer = 300 * time.Millisecond
)

// A server is one instance of the demo's service: an HTTP server that
// answers with its own name.
type server struct {
	Name string
	Addr netip.AddrPort

	http    *http.Server
	left    atomic.Bool
	running atomic.Int64
}

func startServer(name string, listener net.Listener) *server {
	s := &server{Name: name, Addr: addrOf(listener)}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // ends at Close
	return s
}

func addrOf(listener net.Listener) netip.AddrPort { return listener.Addr().(*net.TCPAddr).AddrPort() }

// ServeHTTP answers 200 and the name, or 503 once the instance has stopped.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(traffic.InstanceHeader, s.Name)
	if s.left.Load() {
		http.Error(w, s.Name+" has stopped", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == slowPath {
		s.running.Add(1)
		defer s.running.Add(-1)
		timer := time.NewTimer(slowAnswer)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
	}
	_, _ = fmt.Fprintln(w, s.Name)
}

// Leave stops the instance: what is under way is answered, whatever comes later
// gets 503. The port stays open, since HAProxy would try a refused connection
// at another instance, and that would hide a request that went astray.
func (s *server) Leave() { s.left.Store(true) }

// Running returns the number of slow requests that are under way.
func (s *server) Running() int { return int(s.running.Load()) }

// Close frees the port and cuts what is under way.
func (s *server) Close() { _ = s.http.Close() }

// A fleet is every instance that ever was, in the order of their start.
type fleet struct {
	mu      sync.Mutex
	servers []*server
	timers  []*time.Timer
}

// Start starts the next n instances on free ports of 127.0.0.1. They are called
// A, B, C and so on, in the order of their ports: at most 26 of them.
func (f *fleet) Start(n int) ([]*server, error) {
	listeners, err := listenLocally(n)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first := len(f.servers)
	for _, listener := range listeners {
		f.servers = append(f.servers, startServer(string(rune('A'+len(f.servers))), listener))
	}
	return slices.Clone(f.servers[first:]), nil
}

func listenLocal() (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
}

// listenLocally returns n listeners, sorted by their ports.
func listenLocally(n int) ([]net.Listener, error) {
	listeners := make([]net.Listener, 0, n)
	for range n {
		listener, err := listenLocal()
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	slices.SortFunc(listeners, func(a, b net.Listener) int { return addrOf(a).Compare(addrOf(b)) })
	return listeners, nil
}

// LeaveAfter stops servers after a pause, as a service does that takes its name
// out of discovery before it stops.
func (f *fleet) LeaveAfter(pause time.Duration, servers []*server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range servers {
		f.timers = append(f.timers, time.AfterFunc(pause, s.Leave))
	}
}

// Names returns the name of every instance, by address.
func (f *fleet) Names() map[netip.AddrPort]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make(map[netip.AddrPort]string, len(f.servers))
	for _, s := range f.servers {
		names[s.Addr] = s.Name
	}
	return names
}

// Close stops all instances.
func (f *fleet) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.timers {
		t.Stop()
	}
	for _, s := range f.servers {
		s.Close()
	}
}
