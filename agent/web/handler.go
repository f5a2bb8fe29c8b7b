package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// This file is what handlers have in common: how long they take, what they read, and how it is
// answered.

// A failure is answered with a status of its own.
type failure struct {
	status int
	error
}

// bad is the failure of a request that makes no sense; nil if err is.
func bad(err error) error {
	if err == nil {
		return nil
	}
	return &failure{http.StatusBadRequest, err}
}

// answered answers with what do returns within a time. other is the status of an error that has
// none.
func answered[A any](within time.Duration, other int, do func(context.Context, *http.Request) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := withDeadline(w, r, within)
		defer cancel()
		v, err := do(ctx, r)
		if f, ok := errors.AsType[*failure](err); ok {
			answer.Problem(w, f.status, f.Error())
			return
		}
		answer.Result(w, v, err, other)
	}
}

// changed is answered, for what an operator asks of endpoints: with a body that says who wants it.
func changed[B interface{ Who() api.WhoBody }, A any](do func(context.Context, *http.Request, B, api.Who) (A, error)) http.HandlerFunc {
	return answered(api.ChangeTimeout, http.StatusBadGateway, func(ctx context.Context, r *http.Request) (a A, err error) {
		var body B
		if err := readJSON(r, &body); err != nil {
			return a, err
		}
		who, err := auth.CallerOf(r).Who(body.Who())
		if err != nil {
			return a, bad(err)
		}
		return do(ctx, r, body, who)
	})
}

// written answers with text, and its tag if it has one.
func written(do func(context.Context, *http.Request) (text []byte, etag string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := withDeadline(w, r, api.ChangeTimeout)
		defer cancel()
		text, etag, err := do(ctx, r)
		if err != nil {
			answer.Result(w, nil, err, http.StatusInternalServerError)
			return
		}
		if etag != "" {
			w.Header().Set("ETag", `"`+etag+`"`)
		}
		w.Header().Set("Content-Type", api.TextType)
		_, _ = w.Write(text) // the client may be gone
	}
}

// withDeadline gives the request that long, and its connection the time for the answer.
func withDeadline(w http.ResponseWriter, r *http.Request, within time.Duration) (context.Context, context.CancelFunc) {
	if within > api.ChangeTimeout {
		// where it cannot be set, the request ends sooner and the reload goes on
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + time.Minute))
	}
	return context.WithTimeout(r.Context(), within)
}

// known returns the status, and fails if the agent does not answer: nothing is to be read as none.
func (s *Server) known() (api.Status, error) { return isKnown(s.o.Agent.Status()) }

func isKnown(status api.Status) (api.Status, error) {
	if why := status.Unanswered; why != "" {
		return status, &failure{http.StatusServiceUnavailable, errors.New(why)}
	}
	return status, nil
}

// readJSON takes the body, if there is one, and nothing but what v knows, each name once and
// as it is.
func readJSON(r *http.Request, v any) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return bad(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows its end")
		}
	}
	if err == nil {
		_, err = fieldsOf(raw)
	}
	if err != nil {
		return bad(errors.New("the body is not what is wanted: " + err.Error()))
	}
	return nil
}
