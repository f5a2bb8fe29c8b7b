package nomad

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDiagnose(t *testing.T) {
	agent := func(leader, self, acl string, aclStatus int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v1/status/leader":
				_, _ = w.Write([]byte(leader))
			case "/v1/agent/self":
				if self == "" {
					http.Error(w, "Permission denied", http.StatusForbidden)
					return
				}
				_, _ = w.Write([]byte(self))
			case "/v1/acl/token/self":
				w.WriteHeader(aclStatus)
				_, _ = w.Write([]byte(acl))
			}
		}
	}
	led, self := `"10.0.0.1:4647"`, `{"config":{"Version":{"Version":"1.9.3"}},"member":{"Tags":{"build":"1.9.3"}}}`
	tests := []struct {
		name    string
		answer  http.HandlerFunc
		token   string
		watches int
		want    []string
	}{
		{"no ACLs", agent(led, self, "ACL support disabled", 400), "", 3,
			[]string{"ok $URL is Nomad 1.9.3", "ok ACLs are off", "ok 3 services to watch, with up to 40 connections"}},
		{"older", agent(led, `{"member":{"Tags":{"build":"1.3.0"}}}`, "{}", 200), "secret", 41,
			[]string{"ok $URL is Nomad 1.3.0", "ok the token is known", "warn 41 services to watch, and 40 connections for that: 1 are polled every 10s"}},
		{"no token", agent(led, "", "Permission denied", 403), "", 1,
			[]string{"ok $URL answers, and does not tell", "warn ACLs are on and there is no token", "ok 1 services"}},
		{"a wrong token", agent(led, "", "ACL token not found", 403), "secret", 1,
			[]string{"ok $URL answers, and does not tell", "fail the token is refused (auth: Nomad answered 403: ACL token not found): give it", "ok 1 services"}},
		{"a workload identity", agent(led, "", "ACL token not found", 404), "eyJhbGci.eyJzdWIi.c2VjcmV0", 1,
			[]string{"ok $URL answers, and does not tell", "ok the token is a workload identity", "ok 1 services"}},
		{"a workload identity that is over", agent(led, "", "Permission denied", 403), "eyJhbGci.eyJzdWIi.c2VjcmV0", 1,
			[]string{"ok $URL answers, and does not tell", "fail the token is refused (auth: Nomad answered 403", "ok 1 services"}},
		{"no leader", agent(`""`, self, "ACL support disabled", 400), "", 1,
			[]string{"fail $URL knows no leader", "ok $URL is Nomad 1.9.3", "ok ACLs are off", "ok 1 services"}},
		{"down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "", 1, []string{"fail the agent cannot be asked: server: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			c, err := NewClient(Options{Address: server.URL, Token: func() string { return test.token }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			got := c.Diagnose(ctx, test.watches)
			if len(got) != len(test.want) {
				t.Fatalf("got %+v", got)
			}
			for i, want := range test.want {
				if text := got[i].Verdict + " " + got[i].Text; !strings.HasPrefix(text, strings.ReplaceAll(want, "$URL", server.URL)) || strings.Contains(text, "secret") {
					t.Errorf("got  %s\nwant %s", text, want)
				}
			}
		})
	}
}
