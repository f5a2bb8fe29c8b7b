package main

import (
	"context"

	"github.com/slotsync/slotsync/agent/client"
)

// ask asks the agent that a finds, and prints the answer: as JSON, or as text does.
func ask[T any](ctx context.Context, a *app, output string, of func(*client.Client) (T, error), text func(T) error) error {
	if err := knownOutput(output); err != nil {
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
	if output == "json" {
		return printJSON(a.stdout, answer)
	}
	return text(answer)
}
