package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/slotsync/slotsync/agent"
)

// Needed asks whether HAProxy has to be reloaded, and what came of the last
// times.
func (c *Client) Needed(ctx context.Context) (ReloadAnswer, error) {
	var a ReloadAnswer
	return a, c.into(ctx, http.MethodGet, "/v1/haproxy/reload", nil, &a)
}

// ReloadHAProxy reloads HAProxy and waits for the end of it. The error says at
// which step it failed, and what was done about it.
func (c *Client) ReloadHAProxy(ctx context.Context, body ReloadBody) ([]agent.ReloadStatus, error) {
	var done []agent.ReloadStatus
	return done, c.patient().into(ctx, http.MethodPost, "/v1/haproxy/reload", body, &done)
}

// CheckHAProxy renders HAProxy's configuration and has it checked.
func (c *Client) CheckHAProxy(ctx context.Context, name string) (CheckAnswer, error) {
	var a CheckAnswer
	return a, c.patient().into(ctx, http.MethodPost, "/v1/haproxy/config/check"+query("reload", name), nil, &a)
}

// HAProxyConfig returns HAProxy's configuration, or the version of it.
func (c *Client) HAProxyConfig(ctx context.Context, name, version string) (string, error) {
	path := "/v1/haproxy/config"
	if version != "" {
		path += "/versions/" + url.PathEscape(version)
	}
	return c.words(ctx, path+query("reload", name))
}

// HAProxyDiff returns what changed between two versions, "" for the file as it
// is.
func (c *Client) HAProxyDiff(ctx context.Context, name, from, to string) (string, error) {
	return c.words(ctx, "/v1/haproxy/config/diff"+query("reload", name, "from", from, "to", to))
}

// HAProxyVersions returns what is kept of HAProxy's configuration, newest first.
func (c *Client) HAProxyVersions(ctx context.Context, name string) ([]agent.ConfigVersion, error) {
	var kept []agent.ConfigVersion
	return kept, c.into(ctx, http.MethodGet, "/v1/haproxy/config/versions"+query("reload", name), nil, &kept)
}

// RestoreHAProxy puts a version in force, and waits for the end of it.
func (c *Client) RestoreHAProxy(ctx context.Context, name, id, by string) ([]agent.ReloadStatus, error) {
	var done []agent.ReloadStatus
	path := "/v1/haproxy/config/versions/" + url.PathEscape(id) + "/restore" + query("reload", name, "by", by)
	return done, c.patient().into(ctx, http.MethodPost, path, nil, &done)
}

// patient is c with the time that a reload may take.
func (c *Client) patient() *Client {
	longer, client := *c, *c.http
	client.Timeout = transactionTimeout + time.Minute
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
func (c *Client) into(ctx context.Context, method, path string, body, v any) error {
	var send io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(raw)
	}
	answer, err := c.send(ctx, method, path, send)
	if err != nil {
		return err
	}
	if err := answer.want(http.StatusOK); err != nil {
		return err
	}
	if err := json.Unmarshal(answer.body, v); err != nil {
		return fmt.Errorf("what answers at %s is no slotsync: %w", c.addr, err)
	}
	return nil
}

// words asks for text.
func (c *Client) words(ctx context.Context, path string) (string, error) {
	answer, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	return string(answer.body), answer.want(http.StatusOK)
}
