package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

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
			if r.ProtoMajor == 1 { // else the answer waits for the rest; w may hide from net/http that it is too much
				w.Header().Set("Connection", "close")
			}
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

// nameLetters are those of the names in a body.
const nameLetters = "abcdefghijklmnopqrstuvwxyz_"

// fieldsOf lists what a JSON object says, each name once and as it is: [json.Unmarshal] takes
// "Backend" for "backend", too, and of a name that is there twice the last value, and who reads
// the same text otherwise would believe that something else is asked for.
func fieldsOf(body []byte) (map[string]any, error) {
	if !json.Valid(body) {
		return nil, errors.New("this is not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, err
	}
	fields := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, _ := token.(string)
		var value any
		if err == nil {
			err = d.Decode(&value)
		}
		switch _, twice := fields[name]; {
		case err != nil:
			return nil, err
		case twice:
			return nil, fmt.Errorf("field %q is given twice", name)
		case strings.Trim(name, nameLetters) != "":
			return nil, fmt.Errorf("unknown field %q: names are in small letters", name)
		}
		fields[name] = value
	}
	return fields, nil
}
