package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/slotsync/slotsync/agent/web/answer"
)

// maxBody is how many bytes a request may carry.
const maxBody = 64 << 10

// secured tells browsers to do nothing with the answer but show it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// readBody takes the whole body, up to maxBody, before anything is done: half a
// request changes nothing.
func readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			answer.Problem(w, http.StatusRequestEntityTooLarge, "the body is larger than 64 KB")
			return
		}
		if err != nil {
			answer.Problem(w, http.StatusRequestTimeout, "the body did not arrive")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// typed lets pass changes that say that they carry what a route takes: what makes a
// program send a request for somebody else can seldom have it say so, and a browser asks
// before it does.
func typed(takes string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != takes || len(r.Header.Values("Content-Type")) != 1 {
			w.Header().Set("Accept", takes)
			answer.Problem(w, http.StatusUnsupportedMediaType, "a change has to say Content-Type: "+takes+", also without a body")
			return
		}
		next(w, r)
	}
}
