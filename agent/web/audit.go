package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/audit"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// This file has each change that is asked for recorded before it is answered.

const (
	// refusedBurst and refusedRate bound the entries a second of who may change nothing:
	// anybody can be refused, and each entry waits for the disk.
	refusedBurst, refusedRate = 100, 1
	// notAudited is what comes with an answer that is not in the audit file.
	notAudited = "this is not in the audit file (http.audit): the agent's log says why"
)

// auditedFields are the parts of a request that an entry has. What may be secret, as the text
// of a section, a password or what a map of HAProxy's holds, is not among them.
var auditedFields = [...]string{
	"address", "backend", "do", "drain_removed", "dry_run", "for", "force", "hard", "id", "keep", "name", "reload", "server", "state", "weight",
}

// An asking is what is learned of a request on its way in.
type asking struct {
	known  bool // it got past the gate
	caller auth.Caller
	values url.Values
}

type askingKey struct{}

// audited has changes recorded, done or refused, before the answer goes out.
func (s *Server) audited(next http.Handler) http.Handler {
	if s.o.Audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !auth.IsChange(r) {
			next.ServeHTTP(w, r)
			return
		}
		asked := &asking{values: r.URL.Query()}
		held := &heldAnswer{ResponseWriter: w, status: http.StatusInternalServerError}
		defer func() {
			defer busy(r)()
			if err := s.audit(r, asked, held.status); err != nil {
				w.Header().Set(api.WarningHeader, notAudited)
			}
			if held.written {
				w.WriteHeader(held.status)
				_, _ = w.Write(held.body.Bytes()) // the client may be gone
			}
		}()
		next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), askingKey{}, asked)))
		held.WriteHeader(http.StatusOK) // where nothing was written
	})
}

// audit records what was asked for, and how it was answered.
func (s *Server) audit(r *http.Request, asked *asking, status int) error {
	if asked.caller.May < auth.Operate && !s.refused.Allow() {
		s.leftOut.Add(1)
		return nil
	}
	peer := auth.PeerOf(r)
	e := audit.Entry{
		At: time.Now().UTC(), User: peer.User(), From: "the unix socket", Method: api.Sanitize(r.Method), Path: api.Sanitize(r.URL.Path),
		Reason: api.Sanitize(asked.values.Get("reason")), Status: status, LeftOut: s.leftOut.Swap(0),
	}
	if peer.Addr.IsValid() {
		e.From = peer.Addr.String()
	}
	if asked.known {
		e.Who = asked.caller.Actor(asked.values.Get("by"))
	}
	given := map[string]string{}
	for _, name := range auditedFields {
		if asked.values.Has(name) {
			given[name] = api.Sanitize(asked.values.Get(name))
		}
	}
	if command := api.Loggable(asked.values.Get("command")); command != "" {
		if asked.caller.May < auth.Full { // others cannot fill the disk
			command = api.Sanitize(command)
		}
		given["command"] = command
	}
	e.Asked = given
	return s.o.Audit(e)
}

// noteCaller notes who asks: the gate has let him pass.
func noteCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked, ok := r.Context().Value(askingKey{}).(*asking); ok {
			asked.known, asked.caller = true, auth.CallerOf(r)
		}
		next.ServeHTTP(w, r)
	})
}

// noteBody notes what is asked for, where the body has names and values.
func noteBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked, ok := r.Context().Value(askingKey{}).(*asking); ok {
			body, _ := io.ReadAll(r.Body) // it is in memory
			r.Body = io.NopCloser(bytes.NewReader(body))
			kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
			asked.note(kind, body)
		}
		next.ServeHTTP(w, r)
	})
}

func (a *asking) note(kind string, body []byte) {
	switch kind {
	case api.JSONType:
		var fields map[string]any
		if json.Unmarshal(body, &fields) != nil {
			return
		}
		for name, v := range fields {
			switch v.(type) {
			case string, bool, float64:
				a.values.Set(name, fmt.Sprint(v))
			}
		}
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return
		}
		for name := range form {
			a.values.Set(name, form.Get(name))
		}
	}
}

// A heldAnswer keeps an answer back.
type heldAnswer struct {
	http.ResponseWriter
	status  int
	written bool
	body    bytes.Buffer
}

// WriteHeader implements [http.ResponseWriter].
func (h *heldAnswer) WriteHeader(status int) {
	if !h.written {
		h.status, h.written = status, true
	}
}

// Write implements [http.ResponseWriter].
func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

// Unwrap is for [http.ResponseController].
func (h *heldAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }
