package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

func TestPageLinksKeepTheLook(t *testing.T) {
	s := api.Status{At: pageTime}
	for i := range 30 {
		s.Backends = append(s.Backends, filled(fmt.Sprintf("b%d", i), "x", 2, 1))
	}
	if calm := page(t, s, "/?filter=b&open=b1"); strings.Contains(calm, "trouble=1") || !strings.Contains(calm, "nothing to look at") {
		t.Error("the page leads to backends to look at, and there are none")
	}
	s.Backends[3].Overflow = []discovery.Endpoint{{}}
	body := page(t, s, "/?filter=b&open=b1")
	for _, want := range []string{`href="/?filter=b&amp;open=b1&amp;open=b2#b-b2"`, `href="/?filter=b#b-b1"`, `href="/?filter=b&amp;open=b1&amp;trouble=1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// TestPageAsksForTheToken has a browser come without one to a listener that others
// reach too.
func TestPageAsksForTheToken(t *testing.T) {
	o := options(pageFake(small("secret state"), "secret state"))
	o.Listen, o.Token, o.Hosts = "0.0.0.0:0", token("letmein"), []string{"example.com"}
	h := newServer(t, o).Handler(false)
	res, body := browse(t, h, "/")
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `id="token"`) || strings.Contains(body, "secret state") {
		t.Errorf("%s: %s", res.Status, body)
	}
	if wrong := balanced(body); wrong != "" {
		t.Errorf("not closed as opened: %s", wrong)
	}
	for path, code := range map[string]int{"/page/page.js": http.StatusOK, "/page/page.css": http.StatusOK, "/v1/status": http.StatusUnauthorized} {
		if res, _ := browse(t, h, path); res.StatusCode != code {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if res, _ := sendForm(t, h, "do=pause", "text/html", nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a form without a token: %s", res.Status)
	}
	r := httptest.NewRequest("GET", "/?fragment=1", nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Authorization", "Bearer letmein")
	if res, body := answered(t, h, r); res.StatusCode != http.StatusOK || !strings.Contains(body, "secret state") {
		t.Errorf("with the token: %s", res.Status)
	}
}

// TestPageOfMany holds the page of 200 backends of 50 slots against what a browser and
// the people before it can take.
func TestPageOfMany(t *testing.T) {
	s := api.Status{At: pageTime, Ready: true}
	for i := range 200 {
		s.Backends = append(s.Backends, filled(fmt.Sprintf("backend-%03d", i), "a name", 50, 40))
	}
	s.Backends[150].Problem = "it has one"
	began := time.Now()
	body := page(t, s, "/")
	took := time.Since(began)
	t.Logf("%d bytes in %s", len(body), took)
	if len(body) > 2<<20 || took > 3*time.Second { // 300 ms on a machine that does nothing else
		t.Errorf("%d bytes in %s", len(body), took)
	}
	if n := strings.Count(body, `class="map"`); n != 0 {
		t.Errorf("%d maps are shown of backends that nobody opened", n)
	}
	for target, want := range map[string][2]int{
		"/?open=backend-007":                    {200, 2},
		"/?filter=backend-00":                   {10, 20},
		"/?filter=BACKEND-007":                  {1, 2},
		"/?filter=nothing":                      {0, 0},
		"/?trouble=1":                           {1, 2},
		"/?filter=backend-00&close=backend-003": {10, 18},
	} {
		body := page(t, s, target)
		got := [2]int{strings.Count(body, `<article `), strings.Count(body, `class="map"`)}
		if got != want {
			t.Errorf("%s shows %v backends and maps, want %v", target, got, want)
		}
	}
}
