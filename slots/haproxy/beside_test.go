package haproxy_test

import (
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// What stands beside the template stops nothing: servers and backends with names of any
// length. Whether HAProxy speaks TLS to a server is read.
func TestBesideTheTemplate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long.", 60) // 300 bytes
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := haproxytest.Start(t, haproxytest.Config{
				Version: version,
				Backends: []haproxytest.Backend{{Name: "web", Slots: 2, Check: "ssl verify none", Options: []string{
					"server " + long + " 127.0.0.1:1", "server plain 127.0.0.1:1"}}},
				Extra: "backend " + long + "\n  server a 127.0.0.1:1\n",
			})
			c := client(t, p.Socket)
			for _, backends := range [][]string{nil, {"web"}} {
				v, err := c.View(t.Context(), backends, true)
				if err != nil {
					t.Fatal(err)
				}
				web := v.Servers["web"]
				if len(web) != 3 || len(v.Servers) != 1 || !find(t, v, "web", "web1").TLS || find(t, v, "web", "plain").TLS {
					t.Fatalf("got %+v", v.Servers)
				}
				if backends == nil {
					continue
				}
				out, err := c.Apply(t.Context(), v.Process, fills(v, "web", 3)[1:])
				if err != nil || len(out.Refusals) > 0 {
					t.Errorf("got %+v, %v", out.Refusals, err)
				}
			}
		})
	}
}
