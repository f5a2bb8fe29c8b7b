package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// listen asks for events on a connection of its own, and returns what comes line by
// line. The server's header was read.
func listen(t *testing.T, l *discoverytest.Pipes, path string, header ...string) (*bufio.Reader, net.Conn) {
	t.Helper()
	c := dial(t, l)
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: localhost"}, header...)
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode == 200 && kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
	}
	return bufio.NewReader(resp.Body), c
}

// next reads one message: lines up to an empty one.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return strings.Join(append(lines, err.Error()), "|")
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, line)
	}
}

func TestEventsAreSent(t *testing.T) {
	a := newStuck()
	serving(t, a, func(l *discoverytest.Pipes, _ func() error) {
		r, c := listen(t, l, "/v1/events")
		defer c.Close()
		if got := next(t, r); !strings.HasPrefix(got, ":") {
			t.Errorf("first %q", got)
		}
		start := time.Now()
		a.list.Add(api.Event{Kind: api.EventSlotsChanged, Text: "a\r\nid: 7\n\nb", Backend: "web"})
		got := next(t, r)
		if want := `event: slots_changed|data: {"id":"`; !strings.HasPrefix(got, "id: ") || !strings.Contains(got, want) || !strings.Contains(got, `"text":"a..id: 7..b"`) {
			t.Errorf("%q", got)
		}
		if time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
		for range 5 {
			if got := next(t, r); got != ":" {
				t.Errorf("a api.Heartbeat: %q", got)
			}
		}
		if took := time.Since(start); took != 5*api.Heartbeat {
			t.Errorf("five heartbeats took %v", took)
		}
		// later than any deadline of the server
		a.list.Add(api.Event{Kind: api.EventNote})
		if got := next(t, r); !strings.Contains(got, "event: note") {
			t.Errorf("%q", got)
		}
	})
}

func TestEventsGoOnWhereTheyEnded(t *testing.T) {
	a := newStuck()
	for i := range 1003 {
		a.list.Add(api.Event{Kind: api.EventNote, Text: strconv.Itoa(i)})
	}
	past, reader, err := a.list.Read(1)
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	last := past[len(past)-1].ID
	serving(t, a, func(l *discoverytest.Pipes, _ func() error) {
		for _, tt := range []struct {
			path, header string
			want         []string
		}{
			{"/v1/events", fmt.Sprint("Last-Event-ID: ", last-2), []string{"1001", "1002"}},
			{fmt.Sprint("/v1/events?last_event_id=", last-1), "X: y", []string{"1002"}},
			{fmt.Sprint("/v1/events?last_event_id=", last-1), "Last-Event-ID: 5", []string{"1002"}},
			{"/v1/events", "Last-Event-ID: 0", []string{"missing", "3", "4"}},
			{"/v1/events", "Last-Event-ID: 77", []string{"missing", "3", "4"}},
			{"/v1/events", fmt.Sprint("Last-Event-ID: ", last+1), []string{"missing", "3", "4"}},
		} {
			r, c := listen(t, l, tt.path, tt.header)
			next(t, r)
			for _, want := range tt.want {
				got := next(t, r)
				gap := strings.Contains(got, "event: gap") && want == "missing"
				if !gap && !strings.Contains(got, `"text":"`+want+`"`) {
					t.Errorf("%s, %s: %q, want %s", tt.path, tt.header, got, want)
				}
			}
			_ = c.Close()
		}
		r, c := listen(t, l, "/v1/events?follow=false&last_event_id=0", "Connection: close")
		defer c.Close()
		n := 0
		for line, err := r.ReadString('\n'); err == nil; line, err = r.ReadString('\n') {
			if strings.HasPrefix(line, "data: ") {
				n++
			}
		}
		if n != 1001 {
			t.Errorf("%d events that are kept, and the gap before them", n)
		}
		if code := get(t, l, "GET /v1/events?last_event_id=x"); code != http.StatusBadRequest {
			t.Errorf("no number: %d", code)
		}
	})
}

func TestEventReadersAreBounded(t *testing.T) {
	serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
		var all []net.Conn
		for range 64 {
			_, c := listen(t, l, "/v1/events")
			all = append(all, c)
		}
		if code := get(t, l, "GET /v1/events"); code != http.StatusServiceUnavailable {
			t.Errorf("one more: %d", code)
		}
		if code := get(t, l, "GET /v1/status"); code != 200 {
			t.Errorf("the status meanwhile: %d", code)
		}
		for _, c := range all {
			_ = c.Close()
		}
		synctest.Wait()
		r, c := listen(t, l, "/v1/events")
		defer c.Close()
		if got := next(t, r); !strings.HasPrefix(got, ":") {
			t.Errorf("after all have left: %q", got)
		}
	})
}

// Who reads nothing is cut off, and delays nobody.
func TestWhoDoesNotReadEventsIsDropped(t *testing.T) {
	for name, events := range map[string]int{"few events": 1, "more than are queued": 400} {
		t.Run(name, func(t *testing.T) {
			a := newStuck()
			serving(t, a, func(l *discoverytest.Pipes, _ func() error) {
				slow, c := listen(t, l, "/v1/events")
				defer c.Close()
				quick, other := listen(t, l, "/v1/events")
				defer other.Close()
				next(t, quick)
				start := time.Now()
				for i := range events {
					a.list.Add(api.Event{Kind: api.EventNote, Text: strconv.Itoa(i)})
					if got := next(t, quick); !strings.Contains(got, `"text":"`+strconv.Itoa(i)+`"`) {
						t.Fatalf("the other reads %q", got)
					}
				}
				if time.Since(start) != 0 {
					t.Errorf("the other waited %v", time.Since(start))
				}
				time.Sleep(2 * eventTimeout)
				for range events + 2 {
					if got := next(t, slow); strings.Contains(got, "EOF") {
						return
					}
				}
				t.Error("it is still connected")
			})
		})
	}
}

func TestEventsEnd(t *testing.T) {
	t.Run("with the server, at once", func(t *testing.T) {
		serving(t, newStuck(), func(l *discoverytest.Pipes, stop func() error) {
			r, c := listen(t, l, "/v1/events")
			defer c.Close()
			next(t, r)
			start := time.Now()
			go func() { _, _ = io.Copy(io.Discard, r) }()
			if err := stop(); err != nil || time.Since(start) > grace/10 {
				t.Errorf("stopped after %v: %v", time.Since(start), err)
			}
		})
	})
	t.Run("after an hour", func(t *testing.T) {
		serving(t, newStuck(), func(l *discoverytest.Pipes, _ func() error) {
			r, c := listen(t, l, "/v1/events")
			defer c.Close()
			start := time.Now()
			for !strings.Contains(next(t, r), "EOF") {
			}
			if took := time.Since(start); took != eventsFor {
				t.Errorf("after %v", took)
			}
		})
	})
}

// TestNeighboursLeaveSeats: however many who show nothing are told of events, there is
// a place for who may do everything.
func TestNeighboursLeaveSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newStuck()
		s, err := New(Options{
			Agent: a, Metrics: http.NotFoundHandler(), Reload: func(context.Context, bool) error { return nil }, Listen: "127.0.0.1:9750",
		})
		if err != nil {
			t.Fatal(err)
		}
		told, over := make(chan struct{}, 100), make(chan struct{})
		h := s.limitAnonymous(func(_ http.ResponseWriter, _ *http.Request) {
			told <- struct{}{}
			<-over
		})
		ask := func() *http.Request { return httptest.NewRequest(http.MethodGet, "/v1/events", nil) }
		refused := make(chan *httptest.ResponseRecorder, 100)
		for range 64 {
			go func() {
				w := httptest.NewRecorder()
				if h(w, ask()); w.Code != http.StatusOK {
					refused <- w
				}
			}()
		}
		synctest.Wait()
		if len(told) != 48 || len(refused) != 16 {
			t.Errorf("%d are told and %d refused, want 48 and 16", len(told), len(refused))
		}
		if w := <-refused; w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		go auth.Unix(h).ServeHTTP(httptest.NewRecorder(), ask())
		synctest.Wait()
		if len(told) != 49 {
			t.Error("an owner is not told")
		}
		close(over)
		synctest.Wait()
		h(httptest.NewRecorder(), ask())
		if len(told) != 50 {
			t.Error("a place is not given back")
		}
	})
}
