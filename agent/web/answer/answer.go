// Package answer writes the answers of the web server.
package answer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/slotsync/slotsync/agent/api"
)

// Problem says what went wrong, as an [api.Problem].
func Problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		panic("answer: a problem cannot be written: " + err.Error())
	}
	Write(w, status, api.ProblemType, body)
}

// JSON writes v, whole or not at all.
func JSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		Problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	Write(w, http.StatusOK, api.JSONType, body)
}

// Result writes v, or if there is an error what went wrong, with the status that [StatusOf] has
// for it.
func Result(w http.ResponseWriter, v any, err error, other int) {
	if err != nil {
		Problem(w, StatusOf(err, other), err.Error())
		return
	}
	JSON(w, v)
}

// Write writes a body of some type, and a line feed.
func Write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// Text writes plain text.
func Text(w http.ResponseWriter, status int, body string) {
	Write(w, status, api.TextType, []byte(body))
}

// StatusOf is how HTTP says err, other if it has no word of its own for it.
func StatusOf(err error, other int) int {
	switch {
	case errors.Is(err, api.ErrNoBackend), errors.Is(err, api.ErrNoServer), errors.Is(err, api.ErrNoSubject), errors.Is(err, api.ErrNoVersion), errors.Is(err, api.ErrNoSection), errors.Is(err, api.ErrNoInstance):
		return http.StatusNotFound
	case errors.Is(err, api.ErrNothingHeld), errors.Is(err, api.ErrNoSuchID), errors.Is(err, api.ErrDiscovered), errors.Is(err, api.ErrOverruled), errors.Is(err, api.ErrNotPaused), errors.Is(err, api.ErrNoReload), errors.Is(err, api.ErrNotKept), errors.Is(err, api.ErrReloading), errors.Is(err, api.ErrExamining):
		return http.StatusConflict
	case errors.Is(err, api.ErrNotStored):
		return http.StatusInsufficientStorage
	case errors.Is(err, api.ErrBadRequest):
		return http.StatusBadRequest
	case errors.Is(err, api.ErrChanged):
		return http.StatusPreconditionFailed
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, api.ErrStopped), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	}
	return other
}
