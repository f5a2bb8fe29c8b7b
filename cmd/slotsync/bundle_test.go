package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// bundle has a bundle made, and returns its files by name.
func bundle(t *testing.T, env config.Environment, args ...string) map[string]string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"support-bundle", "--out", "-"}, args...), &out, &errs, env); code != exitFine {
		t.Fatalf("exit %d, %s", code, errs.String())
	}
	packed, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		text, failed := io.ReadAll(archive)
		if err := errors.Join(err, failed); err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(header.Name)] = string(text)
	}
}

// TestBundleHoldsNoSecrets that the words of a command have, an address, or a cookie by which
// HAProxy sends somebody to one server; and adds no server to find out whether it could.
func TestBundleHoldsNoSecrets(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v1/status":
			fmt.Fprint(w, `{"schema":1,"ready":true,"instances":[{"name":"edge","up":true}]}`)
		case "/v1/instances/edge/stat":
			fmt.Fprint(w, `{"columns":["pxname","cookie"],"rows":[{"pxname":"web","cookie":"canary-cookie"}]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer agent.Close()
	p := haproxytest.Start(t, haproxytest.Config{Version: "3.0", Backends: []haproxytest.Backend{{Name: "web", Slots: 2}}})
	path := filepath.Join(t.TempDir(), "slotsync.yaml")
	text := `
haproxy: {instances: [{name: edge, socket: ` + p.Socket + `}]}
reload:
  command: [curl, -u, "ann:canary-user", "http://bob:canary-url@127.0.0.1/"]
  file: /nonexistent/haproxy.cfg
  check: [check, --password, canary-word, "--token=canary-token", "{{.File}}"]
backends: [{name: web, slots: web, dynamic: true, endpoints: ["127.9.0.1:80"]}]
state_dir: none
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := config.Environment{"CONSUL_HTTP_ADDR": "ann:canary-address@127.0.0.1:8500"}
	files := bundle(t, env, "--config", path, "--agent", agent.URL)
	for name, text := range files {
		if at := strings.Index(text, "canary"); at >= 0 {
			t.Errorf("%s: %q", name, text[max(0, at-100):min(len(text), at+30)])
		}
	}
	if !strings.Contains(files["haproxy-stat.json"], "hidden") || !strings.Contains(files["config.txt"], "curl") || !strings.Contains(files["environment.txt"], "ann:[secret]@127.0.0.1:8500") {
		t.Errorf("%s\n%s\n%s", files["haproxy-stat.json"], files["config.txt"], files["environment.txt"])
	}
	if doctor := files["doctor.txt"]; !strings.Contains(doctor, "answers, pid") || strings.Contains(doctor, "can be added") || strings.Contains(doctor, "cannot be added") {
		t.Errorf("%s", doctor)
	}
}
