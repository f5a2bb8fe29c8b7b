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

// TestEachRouteIsDescribedOnce refuses a route that is not described, and a description of
// none.
func TestEachRouteIsDescribedOnce(t *testing.T) {
	routes := web.Routes()
	_, err := generate("../..", append(routes, web.Route{Method: "GET", Path: "/v1/new"}))
	if err == nil || !strings.Contains(err.Error(), "GET /v1/new: operations.go does not describe it") {
		t.Errorf("a new route: %v", err)
	}
	_, err = generate("../..", routes[1:])
	if err == nil || !strings.Contains(err.Error(), "there is no such route") {
		t.Errorf("a route that is gone: %v", err)
	}
}
