package client

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// An eventful agent can be asked for events alone.
type eventful struct {
	web.Agent
	list *event.Log
}

func (a eventful) Events() *event.Log { return a.list }

// serve serves the events of a list over pipes, until stop.
func serve(t *testing.T, list *event.Log) (l *discoverytest.Pipes, stop func()) {
	t.Helper()
	s, err := web.New(web.Options{
		Agent: eventful{list: list}, Metrics: http.NotFoundHandler(), Reload: func(context.Context, bool) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	l = discoverytest.NewPipes()
	srv := &http.Server{Handler: s.Handler(true), WriteTimeout: api.AnswerTimeout}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	stop = sync.OnceFunc(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

// clientOf is one over pipes.
func clientOf(l *discoverytest.Pipes) *Client {
	return &Client{addr: "test", base: "http://localhost", http: &http.Client{Timeout: clientTimeout, Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}}}
}

func TestClientReadsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := event.New(time.Now())
		l, stop := serve(t, list)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			for i := range 3 {
				time.Sleep(time.Minute) // longer than any other request may take
				list.Add(api.Event{Kind: api.EventNote, Text: strconv.Itoa(i)})
			}
		}()
		var texts []string
		for e, err := range clientOf(l).Events(ctx, 0) {
			if err != nil {
				t.Error(err)
			}
			if texts = append(texts, e.Text); len(texts) == 3 {
				break
			}
		}
		if !slices.Equal(texts, []string{"0", "1", "2"}) {
			t.Errorf("%q", texts)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		var last error
		for _, last = range clientOf(l).Events(ctx, 1) {
		}
		if <-stopped; last == nil {
			t.Error("the agent has stopped, and nothing says so")
		}
	})
}

// TestFollowGoesOnSilently where the agent has ended an answer after its time: nothing is wrong.
func TestFollowGoesOnSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := event.New(time.Now())
		l, stop := serve(t, list)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(150*time.Minute, func() { list.Add(api.Event{Kind: api.EventNote, Text: "later"}) })
		time.AfterFunc(200*time.Minute, cancel)
		var texts []string
		show := func(e api.Event) error { texts = append(texts, e.Text); return nil }
		lost := 0
		if err := clientOf(l).Follow(ctx, 0, time.Second, show, func(error) { lost++ }); err != nil || lost > 0 || !slices.Equal(texts, []string{"later"}) {
			t.Errorf("%v, told of %d losses, %q", err, lost, texts)
		}
		stop()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _ = clientOf(l).Follow(ctx, 0, time.Second, show, func(error) { lost++ }); lost != 1 {
			t.Errorf("of one that is gone: told %d times", lost)
		}
	})
}

// TestClientGivesUpOnSilence: what accepts and says nothing is not waited for.
func TestClientGivesUpOnSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := discoverytest.NewPipes()
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, _ = io.Copy(io.Discard, c)
			}
		}()
		start := time.Now()
		var last error
		for _, last = range clientOf(l).Events(t.Context(), 0) {
		}
		if took := time.Since(start); last == nil || took != silence {
			t.Errorf("after %v: %v", took, last)
		}
	})
}
