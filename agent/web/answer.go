package web

import (
	"encoding/json"
	"net/http"
)

// What an answer says that it is.
const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	textType    = "text/plain; charset=utf-8"
)

// A Problem is an error as RFC 9457 writes it.
type Problem struct {
	Type   string `json:"type"`   // always "about:blank": the status says it all
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // of HTTP
	Detail string `json:"detail"` // what went wrong, for people
}

func problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(Problem{"about:blank", http.StatusText(status), status, detail})
	if err != nil {
		panic("web: a problem cannot be written: " + err.Error())
	}
	write(w, status, problemType, body)
}

// answer writes v as JSON, whole or not at all.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, jsonType, body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody else to tell.
	_, _ = w.Write(append(body, '\n'))
}

func text(w http.ResponseWriter, status int, body string) {
	write(w, status, textType, []byte(body))
}
