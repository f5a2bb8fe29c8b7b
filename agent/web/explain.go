package web

import (
	"net/http"
	"strings"

	"github.com/slotsync/slotsync/agent/web/answer"
)

// explain answers for a backend as a whole, or for what the path names in it.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := withDeadline(r)
	defer cancel()
	backend, about := r.PathValue("backend"), r.PathValue("address")
	e, err := s.o.Agent.Explain(ctx, backend, about)
	if err != nil {
		what := strings.TrimSpace(backend + " " + about)
		answer.Problem(w, answer.StatusOf(err, http.StatusInternalServerError), "explain "+what+": "+err.Error())
		return
	}
	answer.JSON(w, e)
}
