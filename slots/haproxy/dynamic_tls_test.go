package haproxy_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestAddedServersSpeakTLS: options with a certificate authority and a fetch for the name
// are taken by every version, and a server that is added with them is spoken to in TLS,
// by that name, and checked likewise.
func TestAddedServersSpeakTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	options := "ssl verify required ca-file " + ca + " sni str(example.com) check inter 1h check-ssl check-sni example.com"
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			port := haproxytest.FreePort(t)
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{
				{Name: "web", Slots: 1, Frontend: port, Check: "ssl verify required ca-file " + ca + " sni str(example.com)"}}})
			c := client(t, p.Socket)
			v, err := c.View(t.Context(), []string{"web"}, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.TryDynamic(t.Context(), "web", "web", options); err != nil {
				t.Fatal(err)
			}
			out, err := c.Apply(t.Context(), v.Process, []slots.Change{add("web", "web2", strings.TrimPrefix(s.URL, "https://"), options)})
			if err != nil || len(out.Refusals) > 0 {
				t.Fatalf("got %+v, %v", out.Refusals, err)
			}
			if added := find(t, out.View, "web", "web2"); !added.TLS || !added.Checked {
				t.Errorf("got %+v", added)
			}
			res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); string(body) != "example.com" || err != nil {
				t.Errorf("got %s: %s, %v", res.Status, body, err)
			}
			err = c.TryDynamic(t.Context(), "web", "web", "ssl verify required ca-file /nowhere.pem")
			if err == nil || !strings.Contains(err.Error(), "name one that its configuration loads too") {
				t.Errorf("a file that is not loaded: got %v", err)
			}
		})
	}
}
