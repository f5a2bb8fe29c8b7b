package web

import (
	_ "embed"
	"net/http"

	"github.com/slotsync/slotsync/agent/api"
)

//go:generate go -C ../.. run ./tools/openapi

// openAPIDocument describes the API for programs, as OpenAPI 3.1.
//
//go:embed openapi.json
var openAPIDocument []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", api.JSONType)
	_, _ = w.Write(openAPIDocument) // the client may be gone
}
