package remote

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// EveryInstance asks all instances at the same time, or the one that only names.
func EveryInstance[T any](ctx context.Context, c *client.Client, only string, ask func(context.Context, string) (T, error)) ([]output.Answer[T], error) {
	names := []string{only}
	if only == "" {
		status, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		names = nil
		for _, in := range status.Instances {
			names = append(names, in.Name)
		}
	}
	got := make([]output.Answer[T], len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			answer, err := ask(ctx, name)
			got[i] = output.Answer[T]{Instance: name, Value: answer}
			if err != nil {
				got[i].Error = textfmt.OneLine(err.Error())
			}
		})
	}
	group.Wait()
	return got, nil
}
