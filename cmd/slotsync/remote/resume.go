package remote

import (
	"context"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

// Resume ends a pause. An agent that does not say which are left has ended it all the same.
func Resume(ctx context.Context, c *client.Client, backend string) (output.Resumed, error) {
	done := output.Resumed{Backend: backend, Pauses: []api.Pause{}}
	if err := c.Resume(ctx, backend); err != nil {
		return done, err
	}
	if s, err := c.Status(ctx); err == nil {
		done.Pauses = append(done.Pauses, s.Pauses...)
	}
	return done, nil
}

// Servers lists those of a backend, or of all if it is "".
func Servers(ctx context.Context, c *client.Client, backend string) ([]api.ServerRow, error) {
	if backend != "" {
		return c.Servers(ctx, backend)
	}
	addresses, err := c.Addresses(ctx)
	rows := []api.ServerRow{}
	for _, a := range addresses {
		rows = append(rows, a.Servers...)
	}
	return rows, err
}
