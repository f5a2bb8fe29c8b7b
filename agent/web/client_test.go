package web_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client/clienttest"
)

func TestClient(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen, o.Socket, o.Token = "127.0.0.1:0", filepath.Join(socketDir(t), "a.sock"), token("secret")
	s := serve(t, o)
	for _, addr := range []string{"unix://" + o.Socket, "http://" + s.Addr(), "http://" + s.Addr() + "/"} {
		t.Run(addr, func(t *testing.T) {
			f.done, f.held, f.reload = nil, true, nil
			f.status.Ready, f.status.NotReady = true, nil
			c := clienttest.New(t, addr, token("secret"))
			status, err := c.Status(t.Context())
			if diff := cmp.Diff(f.status, status); err != nil || diff != "" {
				t.Errorf("Status: %v (-want +got):\n%s", err, diff)
			}
			by := askedBy(t, addr) + " (ann)"
			if _, err := c.Sync(t.Context()); err != nil {
				t.Errorf("Sync: %v", err)
			}
			done, err := c.Accept(t.Context(), "web", api.AcceptBody{ID: "h1a2b3", By: "ann"})
			if diff := cmp.Diff(api.Accepted{Backend: "web", ID: "h1a2b3", Removed: []string{"10.0.0.1:80"}}, done); err != nil || diff != "" {
				t.Errorf("Accept: %v (-want +got):\n%s", err, diff)
			}
			_, err = c.Accept(t.Context(), "web", api.AcceptBody{By: "ann"})
			if clienttest.CheckError(t, err, "what may go now is h1a2b3, k99aa0"); !errors.Is(err, api.ErrNoSuchID) {
				t.Errorf("Accept: %v", err)
			}
			for _, drain := range []bool{false, true} {
				if err := c.Reload(t.Context(), drain); err != nil {
					t.Errorf("Reload: %v", err)
				}
			}
			if reasons, err := c.Ready(t.Context()); err != nil || len(reasons) > 0 {
				t.Errorf("Ready: %q, %v", reasons, err)
			}
			if err := c.Live(t.Context()); err != nil {
				t.Errorf("Live: %v", err)
			}
			if diff := cmp.Diff([]string{"sync", "accept web h1a2b3 by " + by, "accept web  by " + by, "reload", "reload, drain removed"}, f.changes()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}

			f.held, f.reload = false, errors.New("line 3: unknown key\nline 4: wrong \x1b[31mtype")
			f.status.Ready, f.status.NotReady = false, []string{"web: nothing known yet", "no instance \x1b answers"}
			if _, err := c.Accept(t.Context(), "web", api.AcceptBody{ID: "h1a2b3"}); !errors.Is(err, api.ErrNothingHeld) {
				t.Errorf("Accept: %v", err)
			}
			if _, err := c.Accept(t.Context(), "a/b c", api.AcceptBody{ID: "h1a2b3"}); !errors.Is(err, api.ErrNoBackend) {
				t.Errorf("Accept: %v", err)
			}
			clienttest.CheckError(t, c.Reload(t.Context(), false), "line 3: unknown key; line 4: wrong .[31mtype")
			reasons, err := c.Ready(t.Context())
			if diff := cmp.Diff([]string{"web: nothing known yet", "no instance . answers"}, reasons); err != nil || diff != "" {
				t.Errorf("Ready: %v (-want +got):\n%s", err, diff)
			}
			f.sick = errors.New("the loop \x1b hangs")
			clienttest.CheckError(t, c.Live(t.Context()), "the loop . hangs")
			f.sick = nil
		})
	}
}

func TestClientToken(t *testing.T) {
	o := options(newFake())
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	c := clienttest.New(t, "http://"+s.Addr(), token("a wrong one"))
	_, err := c.Status(t.Context())
	clienttest.CheckError(t, err, s.Addr(), "not the token", "--token-file")
	if strings.Contains(err.Error(), "a wrong one") {
		t.Errorf("the token is in the error: %v", err)
	}
	if _, err := c.Ready(t.Context()); err == nil {
		t.Error("Ready says ready with a wrong token")
	}
	if _, err := clienttest.New(t, "http://"+s.Addr(), nil).Status(t.Context()); err != nil {
		t.Errorf("without a token on loopback: %v", err)
	}
}
