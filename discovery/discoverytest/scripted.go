package discoverytest

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A Scripted is a server of HTTP that answers as a handler does, or as tests script.
// It runs in memory and on virtual time in a bubble of testing/synctest: clients
// reach it by [Scripted.Dial]. The fakes of systems embed one.
type Scripted struct {
	pipes  *Pipes
	server *http.Server
	usual  http.HandlerFunc

	mu      sync.Mutex    // guards following
	moved   chan struct{} // closed and replaced when there is news
	headers http.Header   // beside or instead of the usual ones
	script  []http.HandlerFunc
	always  http.HandlerFunc
	around  func(http.HandlerFunc) http.HandlerFunc
	asked   []*http.Request
}

// NewScripted starts a server whose requests go to handler, which hands them to
// [Scripted.ServeHTTP]; usual answers those for which there is no script. It stops
// when the test, or the bubble, ends.
func NewScripted(tb testing.TB, handler http.Handler, usual http.HandlerFunc) *Scripted {
	tb.Helper()
	s := &Scripted{
		pipes: NewPipes(), server: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}, usual: usual,
		moved: make(chan struct{}), headers: http.Header{},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.server.Serve(s.pipes) // it ends by Close
	}()
	tb.Cleanup(func() {
		s.Close()
		<-done
	})
	return s
}

// Close ends all connections and refuses further ones. It may be called again.
func (s *Scripted) Close() { _ = s.server.Close() } // nothing else is waited for

// Dial is [Pipes.Dial].
func (s *Scripted) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.pipes.Dial(ctx, network, address)
}

// Refuse is [Pipes.Refuse].
func (s *Scripted) Refuse(on bool) { s.pipes.Refuse(on) }

// Limit is [Pipes.Limit].
func (s *Scripted) Limit(n int) { s.pipes.Limit(n) }

// Connections is [Pipes.Connections].
func (s *Scripted) Connections() (open, most int) { return s.pipes.Connections() }

// Header makes every usual reply carry a header; an empty value takes it away.
func (s *Scripted) Header(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers.Set(name, value)
}

// Script makes h answer the next requests, one each, before what is usual.
func (s *Scripted) Script(h ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, h...)
}

// Always makes h answer every request; nil ends that.
func (s *Scripted) Always(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = h
	s.wake()
}

// Around makes wrap see every request from now on: its handler calls next, which
// answers.
func (s *Scripted) Around(wrap func(next http.HandlerFunc) http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.around = wrap
}

// Requests returns what was asked so far, oldest first.
func (s *Scripted) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeHTTP implements [http.Handler].
func (s *Scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Clone(context.WithoutCancel(r.Context())))
	h := s.always
	if h == nil && len(s.script) > 0 {
		h, s.script = s.script[0], s.script[1:]
	}
	wrap := s.around
	s.mu.Unlock()
	if h == nil {
		h = s.usual
	}
	if wrap != nil {
		h = wrap(h)
	}
	h(w, r)
}

// Wake has everybody look again who is held.
func (s *Scripted) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// wake needs mu.
func (s *Scripted) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// Hold keeps a blocking query until over, which is asked at each [Scripted.Wake],
// says that there is news, or a little longer than wait. It returns false if the
// client has gone.
func (s *Scripted) Hold(ctx context.Context, wait time.Duration, over func() bool) bool {
	timeout := time.NewTimer(wait + wait/32)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		if over() {
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

// Answer sends list with headers, name and value in turn, and those of
// [Scripted.Header].
func (s *Scripted) Answer(w http.ResponseWriter, list any, header ...string) {
	s.mu.Lock()
	extra := maps.Clone(s.headers)
	s.mu.Unlock()
	h := w.Header()
	set(h, "Content-Type", "application/json")
	set(h, header...)
	maps.Copy(h, extra)
	maps.DeleteFunc(h, func(_ string, v []string) bool { return v[0] == "" })
	_ = json.NewEncoder(w).Encode(list) // the client may have gone
}

// Reply answers with a status, a body and headers, name and value in turn.
func Reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		set(w.Header(), header...)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may have gone
	}
}

func set(h http.Header, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
}
