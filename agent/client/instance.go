package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// Dump asks an instance for info, stat, sess or servers.
func (c *Client) Dump(ctx context.Context, instance, what string) (slots.Dump, error) {
	return into[slots.Dump](ctx, c, http.MethodGet, "/v1/instances/"+url.PathEscape(instance)+"/"+what, nil)
}

// Raw sends a line of commands to an instance, and returns the answer.
func (c *Client) Raw(ctx context.Context, instance string, body api.RawBody) (string, error) {
	a, err := into[api.RawAnswer](ctx, c, http.MethodPost, "/v1/instances/"+url.PathEscape(instance)+"/raw", body)
	return a.Reply, err
}
