package client

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/slotsync/slotsync/agent/api"
)

func serverPath(backend, server string) string {
	path := "/v1/backends/" + url.PathEscape(backend) + "/servers"
	if server != "" {
		path += "/" + url.PathEscape(server)
	}
	return path
}

// Servers lists the endpoints of a backend.
func (c *Client) Servers(ctx context.Context, backend string) ([]api.ServerRow, error) {
	return into[[]api.ServerRow](ctx, c, http.MethodGet, serverPath(backend, ""), nil)
}

// Addresses lists every address, and where it is.
func (c *Client) Addresses(ctx context.Context) ([]api.AddressRow, error) {
	return into[[]api.AddressRow](ctx, c, http.MethodGet, "/v1/addresses", nil)
}

// SetState asks for a state of an endpoint, by its address and port or its slot.
func (c *Client) SetState(ctx context.Context, backend, server string, body api.StateBody) (api.ServerRef, error) {
	return into[api.ServerRef](ctx, c, http.MethodPut, serverPath(backend, server)+"/state", body)
}

// SetAddressState asks for a state of every endpoint with this address.
func (c *Client) SetAddressState(ctx context.Context, ip netip.Addr, body api.StateBody) ([]api.ServerRef, error) {
	return into[[]api.ServerRef](ctx, c, http.MethodPut, "/v1/addresses/"+url.PathEscape(ip.String())+"/state", body)
}

// SetAddressWeight asks for a weight of every endpoint with this address.
func (c *Client) SetAddressWeight(ctx context.Context, ip netip.Addr, body api.WeightBody) ([]api.ServerRef, error) {
	return into[[]api.ServerRef](ctx, c, http.MethodPut, "/v1/addresses/"+url.PathEscape(ip.String())+"/weight", body)
}

// SetWeight asks for a weight of an endpoint.
func (c *Client) SetWeight(ctx context.Context, backend, server string, body api.WeightBody) (api.ServerRef, error) {
	return into[api.ServerRef](ctx, c, http.MethodPut, serverPath(backend, server)+"/weight", body)
}

// AddServer adds an endpoint that no source lists.
func (c *Client) AddServer(ctx context.Context, backend string, body api.ServerBody) (api.ServerRef, error) {
	return into[api.ServerRef](ctx, c, http.MethodPost, serverPath(backend, ""), body)
}

// RemoveServer removes an endpoint that AddServer added.
func (c *Client) RemoveServer(ctx context.Context, backend, server string) (api.ServerRef, error) {
	return into[api.ServerRef](ctx, c, http.MethodDelete, serverPath(backend, server), nil)
}

// ShutSessions ends the sessions of an endpoint on all instances.
func (c *Client) ShutSessions(ctx context.Context, backend, server string) (api.ServerRef, error) {
	return into[api.ServerRef](ctx, c, http.MethodPost, serverPath(backend, server)+"/shutdown-sessions", api.WhoBody{})
}

// Pause stops the writing to the slots of a backend, or of all.
func (c *Client) Pause(ctx context.Context, body api.PauseBody) (api.Pause, error) {
	return into[api.Pause](ctx, c, http.MethodPost, "/v1/pause", body)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, backend string) error {
	_, err := into[struct{}](ctx, c, http.MethodPost, "/v1/resume", api.PauseBody{Backend: backend})
	return err
}
