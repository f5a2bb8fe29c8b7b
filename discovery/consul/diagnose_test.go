package consul

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

// diagnose lists what c finds as "verdict text".
func diagnose(t *testing.T, c *Client, watches int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out []string
	for _, f := range c.Diagnose(ctx, watches) {
		out = append(out, f.Verdict+" "+f.Text)
	}
	return out
}

// wantFindings fails unless each finding begins with the words wanted of it.
func wantFindings(t *testing.T, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDiagnoseReal(t *testing.T) {
	real := func(s *consultest.Server, token string) *Client {
		c, err := NewClient(Options{Address: s.URL(), Token: func() string { return token }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	open := consultest.Start(t)
	wantFindings(t, diagnose(t, real(open, ""), 3),
		"ok "+open.URL()+" is Consul 1.8.7", "ok ACLs are off", "ok nodes may be read", "ok 3 services to watch, with up to 92 connections")

	guarded := consultest.StartACL(t)
	all := `service_prefix "" {policy="read"} node_prefix "" {policy="read"} agent_prefix "" {policy="read"}`
	wantFindings(t, diagnose(t, real(guarded, guarded.NewToken(all)), 93),
		"ok "+guarded.URL()+" is Consul 1.8.7", "ok the token is known", "ok nodes may be read",
		"warn 93 services to watch, and 92 connections for that over HTTP/1: 1 are polled every 10s; use https")
	wantFindings(t, diagnose(t, real(guarded, guarded.NewToken(`service_prefix "" {policy="read"}`)), 1),
		"ok "+guarded.URL()+" answers, and does not tell", "ok the token is known",
		`fail no node may be read, so that every service looks empty: the token needs node_prefix "" { policy = "read" }`, "ok 1 services")
	wantFindings(t, diagnose(t, real(guarded, "7a1bd6c2-0000-4000-8000-000000000000"), 1),
		"ok "+guarded.URL()+" answers, and does not tell", "fail the token is refused (auth: Consul answered 403: ", "fail its nodes cannot be read: auth: ", "ok 1 services")
	wantFindings(t, diagnose(t, real(guarded, ""), 1),
		"ok "+guarded.URL()+" answers, and does not tell", "warn ACLs are on and there is no token", "fail no node may be read", "ok 1 services")
	guarded.Kill()
	wantFindings(t, diagnose(t, real(guarded, ""), 1), "fail the agent cannot be asked: transport: ")
}

// clientOf returns a client of an agent that answers so.
func clientOf(t *testing.T, answer http.HandlerFunc, token string) *Client {
	t.Helper()
	agent := httptest.NewServer(answer)
	t.Cleanup(agent.Close)
	c, err := NewClient(Options{Address: agent.URL, Token: func() string { return token }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What the agent of tests is too old or too simple for.
func TestDiagnoseNewer(t *testing.T) {
	answers := func(version, nodes string, hidden bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v1/agent/self":
				_, _ = w.Write([]byte(`{"Config":{"Version":"` + version + `"}}`))
			case "/v1/acl/token/self":
				_, _ = w.Write([]byte(`{}`))
			case "/v1/catalog/nodes":
				if hidden {
					w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
				}
				_, _ = w.Write([]byte(nodes))
			}
		}
	}
	one := `[{"Node":"a"}]`
	tests := []struct {
		name   string
		token  string
		answer http.HandlerFunc
		want   []string
	}{
		{"some nodes are hidden", "t", answers("1.22.0", one, true),
			[]string{"ok $URL is Consul 1.22.0", "ok the token is known", "warn some nodes may not be read", "ok"}},
		{"no token, old", "", answers("1.8.7", one, false),
			[]string{"ok $URL is Consul 1.8.7", "warn there is no token, and before Consul 1.11", "ok nodes may be read", "ok"}},
		{"no token, new", "", answers("1.22.0", one, false),
			[]string{"ok $URL is Consul 1.22.0", "warn ACLs are on and there is no token", "ok nodes may be read", "ok"}},
		{"no version", "t", answers("", one, false),
			[]string{"ok $URL answers, and does not tell", "ok the token is known", "ok nodes may be read", "ok"}},
		{"something else", "", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			[]string{"fail the agent cannot be asked: protocol: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := clientOf(t, test.answer, test.token)
			for i, want := range test.want {
				test.want[i] = strings.ReplaceAll(want, "$URL", c.http.At.String())
			}
			wantFindings(t, diagnose(t, c, 1), test.want...)
		})
	}
}

func TestDiagnoseSharesConnections(t *testing.T) {
	c, err := NewClient(Options{Address: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.http.CheckBudget(1000); got.Verdict != "ok" || got.Text != "1000 services to watch share 4 connections (HTTP/2)" {
		t.Errorf("got %+v", got)
	}
	spaced := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"Config":{}}`)) }, "t")
	spaced.opts.Namespace = "team"
	if got := spaced.Diagnose(t.Context(), 1); got[0].Verdict != "warn" || !strings.Contains(got[0].Text, "whether it ignores namespaces") {
		t.Errorf("got %+v", got)
	}
	over := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hangs := clientOf(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "")
	if got := hangs.Diagnose(ctx, 1); len(got) != 1 || time.Since(over) > 5*time.Second {
		t.Errorf("it took %s: %+v", time.Since(over), got)
	}
}
