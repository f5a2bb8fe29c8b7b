package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// Needed asks whether HAProxy has to be reloaded, and what came of the last
// times.
func (c *Client) Needed(ctx context.Context) (api.ReloadAnswer, error) {
	return into[api.ReloadAnswer](ctx, c, http.MethodGet, "/v1/haproxy/reload", nil)
}

// ReloadHAProxy reloads HAProxy and waits for the end of it. The error says at
// which step it failed, and what was done about it.
func (c *Client) ReloadHAProxy(ctx context.Context, body api.ReloadBody) ([]api.ReloadStatus, error) {
	return into[[]api.ReloadStatus](ctx, c.patient(), http.MethodPost, "/v1/haproxy/reload", body)
}

// CheckHAProxy renders HAProxy's configuration and has it checked.
func (c *Client) CheckHAProxy(ctx context.Context, name string) (api.CheckAnswer, error) {
	return into[api.CheckAnswer](ctx, c.patient(), http.MethodPost, "/v1/haproxy/config/check"+query("reload", name), nil)
}

// Doctor has the agent ask every instance and source what may go wrong.
func (c *Client) Doctor(ctx context.Context) ([]api.Finding, error) {
	return into[[]api.Finding](ctx, c.patient(), http.MethodPost, "/v1/doctor", nil)
}

// HAProxyConfig returns HAProxy's configuration, or the version of it. The error
// wraps [api.ErrNoVersion] if that is not kept.
func (c *Client) HAProxyConfig(ctx context.Context, name, version string) (string, error) {
	path := "/v1/haproxy/config"
	if version != "" {
		path += "/versions/" + url.PathEscape(version)
	}
	return c.words(ctx, path+query("reload", name))
}

// HAProxyDiff returns what changed between two versions, "" for the file as it
// is. The error wraps [api.ErrNoVersion] if one is not kept.
func (c *Client) HAProxyDiff(ctx context.Context, name, from, to string) (string, error) {
	return c.words(ctx, "/v1/haproxy/config/diff"+query("reload", name, "from", from, "to", to))
}

// HAProxyVersions returns what is kept of HAProxy's configuration, newest first.
func (c *Client) HAProxyVersions(ctx context.Context, name string) ([]api.ConfigVersion, error) {
	return into[[]api.ConfigVersion](ctx, c, http.MethodGet, "/v1/haproxy/config/versions"+query("reload", name), nil)
}

// RestoreHAProxy puts a version in force, and waits for the end of it. The error
// wraps [api.ErrNoVersion] if it is not kept.
func (c *Client) RestoreHAProxy(ctx context.Context, name, id, by string) ([]api.ReloadStatus, error) {
	path := "/v1/haproxy/config/versions/" + url.PathEscape(id) + "/restore" + query("reload", name, "by", by)
	return into[[]api.ReloadStatus](ctx, c.patient(), http.MethodPost, path, nil)
}

// patient is c with the time that a reload may take.
func (c *Client) patient() *Client {
	longer, client := *c, *c.http
	client.Timeout = api.TransactionTimeout + time.Minute
	longer.http = &client
	return &longer
}

// query writes the pairs that have a value.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// into asks and decodes the answer.
func into[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	answer, err := c.do(ctx, method, path, body)
	return decode[T](answer, err, reply.haproxy)
}

// words asks for text.
func (c *Client) words(ctx context.Context, path string) (string, error) {
	answer, err := c.do(ctx, http.MethodGet, path, nil)
	if err == nil {
		err = answer.haproxy()
	}
	if err == nil && answer.kind != api.TextType {
		err = fmt.Errorf("what answers at %s is no slotsync", c.addr)
	}
	if err != nil {
		return "", err
	}
	return string(answer.body), nil
}

// haproxy returns why the reply is not what was asked for.
func (r reply) haproxy() error {
	detail := r.detail()
	if which, ok := strings.CutSuffix(detail, api.ErrNoVersion.Error()); ok && r.status == http.StatusNotFound {
		return fmt.Errorf("%s%w", which, api.ErrNoVersion)
	}
	if r.status == http.StatusForbidden {
		return errors.New(detail + " (--agent, --token-file)")
	}
	return r.ok()
}
