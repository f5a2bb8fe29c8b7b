package web

import (
	"encoding/json"
	"net/http"

	"github.com/slotsync/slotsync/agent/api"
)

func problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		panic("web: a problem cannot be written: " + err.Error())
	}
	write(w, status, api.ProblemType, body)
}

// answer writes v as JSON, whole or not at all.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, api.JSONType, body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody else to tell.
	_, _ = w.Write(append(body, '\n'))
}

func text(w http.ResponseWriter, status int, body string) {
	write(w, status, api.TextType, []byte(body))
}
