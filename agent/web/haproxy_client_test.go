package web_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client/clienttest"
)

func TestHAProxyClient(t *testing.T) {
	f := newFake()
	need := &api.NeedReload{Slots: 10, Wanted: 12, Why: "so"}
	f.status.Backends[0].NeedReload = need
	o := options(f)
	o.Listen, o.Socket, o.Token = "127.0.0.1:0", filepath.Join(socketDir(t), "a.sock"), token("secret")
	s := serve(t, o)
	for _, addr := range []string{"unix://" + o.Socket, "http://" + s.Addr()} {
		t.Run(addr, func(t *testing.T) {
			f.done, f.haproxy = nil, nil
			c, ctx := clienttest.New(t, addr, token("secret")), t.Context()
			by := askedBy(t, addr) + " (anna)"
			same := func(what string, want, got any, err error) {
				t.Helper()
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
				}
			}
			needed, err := c.Needed(ctx)
			same("Needed", api.ReloadAnswer{Needed: true, Needs: map[string]*api.NeedReload{"web": need}, Reloads: f.status.Reloads}, needed, err)
			done, err := c.ReloadHAProxy(ctx, api.ReloadBody{Name: "edge-1", By: "anna", Reason: "so", Force: true})
			same("ReloadHAProxy", f.status.Reloads, done, err)
			check, err := c.CheckHAProxy(ctx, "a&b")
			same("CheckHAProxy", api.CheckAnswer{OK: true, Words: "Configuration file is valid"}, check, err)
			text, err := c.HAProxyConfig(ctx, "edge-1", "")
			same("HAProxyConfig", configText+"# of edge-1", text, err)
			text, err = c.HAProxyConfig(ctx, "", versionID)
			same("HAProxyConfig of a version", configText, text, err)
			kept, err := c.HAProxyVersions(ctx, "")
			want, _ := f.HAProxyVersions(ctx, "")
			same("HAProxyVersions", want, kept, err)
			diff, err := c.HAProxyDiff(ctx, "edge-1", versionID, "")
			same("HAProxyDiff", fmt.Sprintf("edge-1: %q to \"\"\n", versionID), diff, err)
			done, err = c.RestoreHAProxy(ctx, "", versionID, "anna")
			same("RestoreHAProxy", f.status.Reloads, done, err)
			same("what was done", []string{`reload haproxy "edge-1" by "` + by + `" for "so", force true`, `check "a&b"`,
				`restore "` + versionID + `" of "" by "` + by + `", etag ""`}, f.changes(), nil)
			for what, err := range clienttest.HAProxyErrors(ctx, c, "../x") {
				if wants := strings.Contains(what, "of a version"); wants != errors.Is(err, api.ErrNoVersion) {
					t.Errorf("%s: %v", what, err)
				}
			}
			f.haproxy = errors.New("step check failed:\n\x1b[2J at line 3")
			for what, err := range clienttest.HAProxyErrors(ctx, c, versionID) {
				if what == "Needed" {
					continue // what is known is not asked of HAProxy
				}
				clienttest.CheckError(t, err, "step check failed:; .[2J at line 3")
			}
		})
	}
}

func TestHAProxyClientWithoutToken(t *testing.T) {
	o := options(newFake())
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	for what, err := range clienttest.HAProxyErrors(t.Context(), clienttest.New(t, "http://"+s.Addr(), nil), versionID) {
		t.Run(what, func(t *testing.T) { clienttest.CheckError(t, err, "not for everybody", "http.socket", "--token-file") })
	}
}
