// Package clienttest helps tests that ask an agent over its HTTP API.
package clienttest

import (
	"context"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// New returns a client of the agent at addr that shows a token; nil: none.
func New(t *testing.T, addr string, token func() string) *client.Client {
	t.Helper()
	c, err := client.New(addr, client.Access{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// CheckError fails t unless err is one line that contains every part.
func CheckError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("not one clean line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

// HAProxyErrors asks with every method that is about HAProxy, some for a version of its file,
// and returns their errors by name.
func HAProxyErrors(ctx context.Context, c *client.Client, version string) map[string]error {
	errs := map[string]error{}
	_, errs["Needed"] = c.Needed(ctx)
	_, errs["ReloadHAProxy"] = c.ReloadHAProxy(ctx, api.ReloadBody{})
	_, errs["CheckHAProxy"] = c.CheckHAProxy(ctx, "")
	_, errs["HAProxyConfig"] = c.HAProxyConfig(ctx, "", "")
	_, errs["HAProxyConfig of a version"] = c.HAProxyConfig(ctx, "", version)
	_, errs["HAProxyVersions"] = c.HAProxyVersions(ctx, "")
	_, errs["HAProxyDiff of a version"] = c.HAProxyDiff(ctx, "", version, "")
	_, errs["RestoreHAProxy of a version"] = c.RestoreHAProxy(ctx, "", version, "")
	return errs
}
