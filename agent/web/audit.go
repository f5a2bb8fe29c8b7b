package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
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
	values url.Values // what its handler reads
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
		asked := &asking{}
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
		At: time.Now().UTC(), User: peer.User(), From: "the unix socket", Method: api.Sanitize(r.Method), Path: pathOf(r.URL),
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
	err := s.o.Audit(e)
	if err != nil {
		s.leftOut.Add(e.LeftOut) // the next one says it
	}
	return err
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

// noteValues notes what is asked for. The handler is given no parameter that is not noted:
// an entry says what was done.
func (r Route) noteValues(next http.HandlerFunc) http.HandlerFunc {
	var valuesIn func(body []byte) url.Values // nil: there is none, or none that is recorded
	switch {
	case r.Path == "/page/act":
		valuesIn = formValues
	case r.takesJSON():
		valuesIn = jsonValues
	}
	return func(w http.ResponseWriter, req *http.Request) {
		query, values, at := req.URL.Query(), url.Values{}, *req.URL
		for _, name := range r.Params {
			if given, ok := query[name]; ok {
				values[name] = given
			}
		}
		at.RawQuery = values.Encode()
		req = req.WithContext(req.Context()) // a copy
		req.URL = &at
		if valuesIn != nil {
			body, _ := io.ReadAll(req.Body) // it is in memory
			req.Body = io.NopCloser(bytes.NewReader(body))
			values = valuesIn(body)
		}
		if asked, ok := req.Context().Value(askingKey{}).(*asking); ok {
			asked.values = values
		}
		next(w, req)
	}
}

func jsonValues(body []byte) url.Values {
	fields, _ := fieldsOf(body) // the handler says what is wrong with it
	values := url.Values{}
	for name, v := range fields {
		switch v.(type) {
		case string, bool, json.Number:
			values.Set(name, fmt.Sprint(v))
		}
	}
	return values
}

// formValues are those of a form of the page that it reads.
func formValues(body []byte) url.Values {
	form, _ := url.ParseQuery(string(body)) // the handler says what is wrong with it
	values := url.Values{}
	for _, name := range [...]string{"backend", "do", "for", "id", "reason", "server", "weight"} {
		if form.Has(name) {
			values.Set(name, form.Get(name))
		}
	}
	return values
}

// pathOf is the path of a request for people: a "/" within a name does not end it.
func pathOf(u *url.URL) string {
	names := strings.Split(u.EscapedPath(), "/")
	for i, name := range names {
		if plain, err := url.PathUnescape(name); err == nil {
			names[i] = strings.NewReplacer("%", "%25", "/", "%2F").Replace(plain)
		}
	}
	return api.Sanitize(strings.Join(names, "/"))
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
