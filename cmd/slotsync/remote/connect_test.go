package remote

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// TestAgentsUserIsShownTheToken: the unit's user cannot read a token that systemd hands it, and
// listens where root asks. It is known by the folder of its socket, which root has given it.
func TestAgentsUserIsShownTheToken(t *testing.T) {
	var l net.Listener
	var err error
	securedirtest.AsNobody(t, securedirtest.Nobody, func() { l, err = net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 4)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		http.Error(w, "", http.StatusTeapot)
	})}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	dir, run := securedirtest.Folder(t, 0o755), securedirtest.Folder(t, 0o755)
	token, file := filepath.Join(dir, "token"), filepath.Join(dir, "slotsync.yaml")
	text := "http: {socket: " + run + "/a.sock}\n"
	if err := errors.Join(os.WriteFile(token, []byte("s3cret-of-the-unit"), 0o600), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		p := Place{Agent: "http://" + l.Addr().String(), ConfigFile: file, Access: Access{TokenFile: token}, Env: config.Environment{}}
		c, err := p.Connect(func(doubt string) { t.Error(doubt) })
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Status(t.Context())
		return err
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "user nobody listens there") || len(asked) > 0 {
		t.Errorf("somebody else is asked: %v", err)
	}
	if err := os.Chown(run, securedirtest.Nobody, securedirtest.Nobody); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err == nil || len(asked) == 0 || <-asked != "Bearer s3cret-of-the-unit" {
		t.Errorf("the unit's user is not shown the token: %v", err)
	}
}
