package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// This file tells of events as Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).

const (
	// eventTimeout bounds the sending of one event.
	eventTimeout = 5 * time.Second
	// eventsFor is how long one request is answered. Who reads on asks again, and
	// shows again who he is.
	eventsFor = time.Hour
	// maxAnonymousStreams is how many who show nothing are told at a time: fewer than the agent
	// tells, so that they keep nobody out who may do everything.
	maxAnonymousStreams = 48
	// lastEventID is the parameter for those who cannot set the header.
	lastEventID = "last_event_id"
	// follow is the parameter that is "false" for those who want nothing that comes.
	follow = "follow"
)

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	after, err := lastEventSeen(r)
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	past, reader, err := s.o.Agent.Events().Read(after)
	if err != nil {
		tooManyReaders(w, err)
		return
	}
	defer reader.Close()
	w.Header().Set("Content-Type", api.EventType)
	if r.Method == http.MethodHead {
		return
	}
	s.sendEvents(&stream{w: w, c: http.NewResponseController(w)}, r, past, reader)
}

func tooManyReaders(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	answer.Problem(w, http.StatusServiceUnavailable, err.Error())
}

// limitAnonymous bounds how many who show nothing are in next at a time.
func (s *Server) limitAnonymous(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !auth.IsAdmin(r) {
			select {
			case s.anonymousStreams <- struct{}{}:
				defer func() { <-s.anonymousStreams }()
			default:
				tooManyReaders(w, api.ErrManyReaders)
				return
			}
		}
		next(w, r)
	}
}

// lastEventSeen is the ID of the last event that somebody has. 0 is for somebody who
// has none and wants none; the 0 that he writes is for all that are kept.
func lastEventSeen(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if given := r.URL.Query().Get(lastEventID); given != "" {
		text = given
	}
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errors.New("the last event ID is not one that an event had: it is a number")
	}
	return max(id, 1), nil
}

// sendEvents sends what was and what comes, until one end has enough.
func (s *Server) sendEvents(to *stream, r *http.Request, past []api.Event, reader *event.Reader) {
	defer to.end()
	to.send(": events of slotsync\n\n")
	for _, e := range past {
		to.event(e)
	}
	if r.URL.Query().Get(follow) == "false" {
		return
	}
	beat := time.NewTicker(api.Heartbeat)
	defer beat.Stop()
	over := time.NewTimer(eventsFor)
	defer over.Stop()
	for to.err == nil {
		select {
		case e, ok := <-reader.C:
			if !ok { // he reads too slowly
				panic(http.ErrAbortHandler)
			}
			to.event(e)
		case <-beat.C:
			to.send(":\n\n")
		case <-over.C:
			return
		case <-s.stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// A stream sends, each piece at once and within a time, until that fails.
type stream struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	err error
}

func (s *stream) event(e api.Event) {
	data, err := json.Marshal(e)
	if err != nil {
		panic("web: an event cannot be written: " + err.Error())
	}
	s.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, strings.ReplaceAll(e.Kind, "\n", " "), data))
}

func (s *stream) send(text string) {
	if s.err != nil {
		return
	}
	if s.err = s.c.SetWriteDeadline(time.Now().Add(eventTimeout)); s.err != nil {
		return
	}
	_, err := io.WriteString(s.w, text)
	s.err = errors.Join(err, s.c.Flush())
	if s.err == nil {
		// over HTTP/2 a deadline ends the stream also while nothing is sent
		s.err = s.c.SetWriteDeadline(time.Time{})
	}
}

// end bounds what is sent after the last event.
func (s *stream) end() {
	// a connection that takes none is broken anyway
	_ = s.c.SetWriteDeadline(time.Now().Add(eventTimeout))
}
