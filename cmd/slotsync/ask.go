package main

import (
	"context"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

// ask asks the agent that a finds, and prints the answer: as JSON, or as text does.
func ask[T any](ctx context.Context, a *app, format string, of func(*client.Client) (T, error), text func(T) error) error {
	if err := knownOutput(format); err != nil {
		return err
	}
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	answer, err := of(c)
	if err != nil {
		return err
	}
	if format == "json" {
		return output.WriteJSON(a.stdout, answer)
	}
	return text(answer)
}
