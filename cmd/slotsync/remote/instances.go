package remote

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// EveryInstance asks all instances at the same time, or the one that only names.
func EveryInstance[T any](ctx context.Context, c *client.Client, only string, ask func(context.Context, string) (T, error)) ([]output.Answer[T], error) {
	if only != "" {
		return each(ctx, []string{only}, ask), nil
	}
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return each(ctx, instanceNames(status), ask), nil
}

func instanceNames(s api.Status) (names []string) {
	for _, in := range s.Instances {
		names = append(names, in.Name)
	}
	return names
}

// each asks these instances at the same time.
func each[T any](ctx context.Context, names []string, ask func(context.Context, string) (T, error)) []output.Answer[T] {
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
	return got
}
