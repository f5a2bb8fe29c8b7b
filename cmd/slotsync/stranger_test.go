package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// TestStrangerIsShownNoToken: where the agent is stopped and another user listens in its place,
// no command shows him a token or a password, nor believes what he says.
func TestStrangerIsShownNoToken(t *testing.T) {
	asked := 0
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, `{"schema":1,"ready":true,"backends":[],"instances":[]}`)
	}))
	stranger.Listener = securedirtest.Listen(t, "tcp", "127.0.0.1:0")
	stranger.Start()
	defer stranger.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, password := write("token", "canary\n"), write("password", "canary\n")
	listen := "http: {socket: " + dir + "/gone.sock, listen: " + stranger.Listener.Addr().String()
	ours, open := write("a.yaml", listen+", token_file: "+token+"}\n"), write("b.yaml", listen+"}\n")
	for _, tt := range []struct {
		name string
		args []string
		env  config.Environment
	}{
		{"status", []string{"status", "-c", ours}, nil},
		{"health", []string{"health", "-c", ours}, nil},
		{"live", []string{"health", "--live", "-c", ours}, nil},
		{"events", []string{"events", "-c", ours}, nil},
		{"accept", []string{"accept", "web", "h1", "-c", ours}, nil},
		{"token file", []string{"status", "-c", open, "--token-file", token}, nil},
		{"environment", []string{"status", "-c", open}, config.Environment{"SLOTSYNC_TOKEN_FILE": token}},
		{"named", []string{"status", "--agent", stranger.URL, "--token-file", token}, nil},
		{"password", []string{"status", "-c", open, "--user", "ann", "--password-file", password}, nil},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), tt.args, &out, &errs, tt.env)
		if code != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "user nobody listens there") || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", tt.name, code, out.String(), errs.String())
		}
	}
	if asked > 0 {
		t.Errorf("he was asked %d times", asked)
	}
	for _, path := range []string{token, password} { // what he can read is no secret to him
		if err := os.Chown(path, securedirtest.Nobody, -1); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"health", "-c", ours}, &out, &errs, nil); code != exitFine {
		t.Errorf("where he owns the token: exit %d, %q", code, errs.String())
	}
}
