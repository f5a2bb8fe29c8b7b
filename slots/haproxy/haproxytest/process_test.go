package haproxytest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestProcess(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	defer origin.Close()
	at, err := url.Parse(origin.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			port := haproxytest.FreePort(t)
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Maxconn: 20,
				Backends: []haproxytest.Backend{{Name: "web", Slots: 2, Prefix: "s", Frontend: port, Options: []string{"option redispatch 1"}}}})
			if got := haproxytest.Ask(t, p.Socket, "show version"); !strings.HasPrefix(got, version+".") {
				t.Errorf("got %q", got)
			}
			haproxytest.Ask(t, p.Socket, fmt.Sprintf("set server web/s1 addr %s port %s", at.Hostname(), at.Port()))
			haproxytest.Ask(t, p.Socket, "set server web/s1 state ready")
			if status := get(t, port); status != http.StatusOK {
				t.Errorf("got %d by way of the slot", status)
			}
			old := p.Worker()
			p.Config.Backends[0].Slots = 7
			p.Reload()
			if got := haproxytest.Ask(t, p.Socket, "show servers state web"); strings.Count(got, " web ") != 7 || p.Worker() == old {
				t.Errorf("got %s", got)
			}
			if status := get(t, port); status != http.StatusServiceUnavailable {
				t.Errorf("got %d without a ready slot", status)
			}
			p.Stop()()
			p.Restart()
			if !strings.Contains(p.Log(), "web") {
				t.Errorf("got %s", p.Log())
			}
			p.Kill()
			if p.Worker() != 0 {
				t.Error("it answers after its end")
			}
		})
	}
}

func get(t *testing.T, port int) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestText(t *testing.T) {
	p := haproxytest.Start(t, haproxytest.Config{Text: "global\n  stats socket {socket} level user\n  node own\ndefaults\n  mode http\n" +
		"  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nbackend b\n  server s 127.0.0.1:1\n"})
	if got := haproxytest.Ask(t, p.Socket, "show info"); !strings.Contains(got, "node: own\n") {
		t.Errorf("got %s", got)
	}
}
