package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAClientCanBeGenerated makes one of the OpenAPI document with oapi-codegen, and asks a
// server with it.
func TestAClientCanBeGenerated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join("../../tools/oapi", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goTool := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %q: %v", args, err)
		}
		return string(out)
	}
	o := options(full())
	o.Listen = "127.0.0.1:0"
	s := serve(t, o)
	document := filepath.Join(dir, "openapi.json")
	if err := os.WriteFile(document, request(t, s.Handler(true), "", "GET /v1/openapi.json", "").Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	goTool("tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.go", document)
	want := `status: web live maint [10.0.0.1:80] 10.0.0.1:80
weight: 10.0.0.1:80 web1
state: 404 no such backend: "api"
explain: so it is
`
	if diff := cmp.Diff(want, goTool("run", "-tags", "generated", ".", "http://"+s.Addr())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
