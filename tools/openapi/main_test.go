package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/web"
)

// TestDocumentIsCurrent: what is served is what the routes and the types say now.
func TestDocumentIsCurrent(t *testing.T) {
	const root = "../.."
	want, err := generate(root, web.Routes())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not what its source makes of it: run go generate ./agent/web", document)
	}
}

// TestEachRouteIsDescribed refuses a route that does not say what it is.
func TestEachRouteIsDescribed(t *testing.T) {
	_, err := generate("../..", append(web.Routes(), web.Route{Method: "GET", Path: "/v1/new"}))
	if err == nil || !strings.Contains(err.Error(), "GET /v1/new: its operation is not described") {
		t.Errorf("a new route: %v", err)
	}
}
