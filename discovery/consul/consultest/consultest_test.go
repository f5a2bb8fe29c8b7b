package consultest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerAnswersDNS(t *testing.T) {
	s := consultest.Start(t)
	s.Register("web", "a", "10.0.0.1", 80)
	s.Register("web", "b", "10.0.0.2", 80)
	for _, network := range []string{"udp", "tcp"} {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, s.DNSAddr())
		}}
		got, err := r.LookupHost(t.Context(), "web.service.consul.")
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2"}) {
			t.Errorf("%s: %v %v", network, got, err)
		}
	}
}

func TestJoin(t *testing.T) {
	a := consultest.NewAuthority(t)
	server := consultest.Start(t)
	client := server.Join(t, consultest.HTTPS(a))
	client.Register("web", "a", "10.0.0.1", 80)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM())
	over := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(over.CloseIdleConnections)
	instances := func() int {
		t.Helper()
		resp, err := over.Get(client.HTTPSURL() + "/v1/health/service/web")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			return -1
		}
		return strings.Count(string(body), `"ID":"a"`)
	}
	if n := instances(); n != 1 {
		t.Errorf("%d instances", n)
	}
	if n := client.Connections(); n < 1 || n > 3 {
		t.Errorf("%d connections", n)
	}
	server.Kill()
	server.Restart(false)
	client.Await()
	client.Register("web", "a", "10.0.0.1", 80)
	if n := instances(); n != 1 {
		t.Errorf("after the server has lost everything: %d instances", n)
	}
	client.Stop()
	client.Restart(true)
	if n := instances(); n != 1 {
		t.Errorf("after the agent has left and come back: %d instances", n)
	}
}

func TestRelay(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(discoverytest.Reply(200, "hello")))
	t.Cleanup(server.Close)
	p := consultest.Relay(t, server.Listener.Addr().String())
	if at := p.RespondedAt(); !at.IsZero() {
		t.Errorf("before anything it answered at %s", at)
	}
	client := http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for range 2 {
		begun := time.Now()
		resp, err := client.Get("http://" + p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if at := p.RespondedAt(); err != nil || string(body) != "hello" || at.Before(begun) || at.After(time.Now()) {
			t.Errorf("%q %v, handed on at %s", body, err, at)
		}
	}
}

func TestFakeOverTCP(t *testing.T) {
	f := consultest.NewFake(t)
	f.Set("web", consultest.Instances(2)...)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	client := http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for path, status := range map[string]int{
		"/v1/health/service/web": 200, "/v1/health/service/none": 200, "/v1/kv/x": 404,
		"/v1/health/service/web?index=x": 400, "/v1/health/service/web?index=1&wait=x": 400, "/v1/health/service/web?stale&consistent": 400,
	} {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != status || status == 200 && strings.HasSuffix(path, "web") != strings.Contains(string(body), "10.0.0.2") {
			t.Errorf("%s: %s %.60s %v", path, resp.Status, body, err)
		}
	}
}
