package remote

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// followPace is how long an agent that does not answer is left alone.
const followPace = time.Second

// FollowEvents shows what comes after the event with that ID, until ctx is done or show fails.
// An agent that stops is asked again; lost is told so, once until it answers.
func FollowEvents(ctx context.Context, c *client.Client, last uint64, show func(api.Event) error, lost func(error)) error {
	told := false
	for ctx.Err() == nil {
		for e, err := range c.Events(ctx, last) {
			if err != nil {
				if !told {
					lost(err)
				}
				told = true
				break
			}
			told, last = false, e.ID
			if err := show(e); err != nil {
				return err
			}
		}
		pause(ctx, followPace)
	}
	return nil
}
