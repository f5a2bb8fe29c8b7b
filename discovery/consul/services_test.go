package consul

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestServices(t *testing.T) {
	for body, want := range map[string]string{
		`{"web":["a"],"consul":[]}`: "",
		`{"web":`:                   "cannot be read",
		`{"web":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + "}": "nested deeper than 100 levels",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/catalog/services" {
				t.Errorf("asked for %s", r.URL)
			}
			_, _ = w.Write([]byte(body))
		}))
		c, err := NewClient(Options{Address: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		names, err := c.Services(t.Context())
		if want == "" && (err != nil || !slices.Equal(names, []string{"consul", "web"})) {
			t.Errorf("%q, %v", names, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20s: %v, want %q", body, err, want)
		}
		c.Close()
		server.Close()
	}
}
