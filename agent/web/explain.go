package web

import (
	"context"
	"net/http"
	"strings"
)

// explain answers for a backend as a whole, or for what the path names in it.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	backend, about := r.PathValue("backend"), r.PathValue("address")
	e, err := s.o.Agent.Explain(ctx, backend, about)
	if err != nil {
		what := strings.TrimSpace(backend + " " + about)
		problem(w, statusOf(err, http.StatusInternalServerError), "explain "+what+": "+err.Error())
		return
	}
	answer(w, e)
}
