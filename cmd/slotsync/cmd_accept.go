package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newAcceptCommand(a *app) *cobra.Command {
	return askCommand(a, cobra.Command{
		Use:   "accept BACKEND [ID]",
		Short: "Confirm a removal that is held, what is kept, or a takeover",
		Long: `Confirm that endpoints of a backend are to go which are still there: a removal that the
guard holds back, endpoints that are kept because a part of their source is not known, or
live addresses that no source has ever listed (takeover). Each has an id, which stands for
the endpoints as they were shown: of those, the ones that are still missing go. What is
listed again stays, and what went missing later stays held.

Without an ID, a terminal shows what would go and asks. Elsewhere the ID is needed: exit
2 names those that there are. slotsync status shows them too.`,
		Example: `  slotsync accept web
  slotsync accept web h3fa2c1
  slotsync accept web h3fa2c1 -o json`,
		Args: takes(1, 2, "the name of one backend, and an id"),
	}, func(ctx context.Context, c *client.Client, args []string) (done api.Accepted, err error) {
		id := nth(args, 1)
		if id == "" {
			if id, err = remote.ChooseID(ctx, c, args[0], a.person(), a.stdout); err != nil {
				return done, err
			}
		}
		return remote.Accept(ctx, c, args[0], api.AcceptBody{ID: id, By: remote.User()})
	}, output.WriteAccepted)
}

// person is where somebody can be asked, nil if nobody can.
func (a *app) person() io.Reader {
	if a.format == formatJSON || !textfmt.IsTerminal(os.Stdin) || !textfmt.IsTerminal(a.stdout) {
		return nil
	}
	return os.Stdin
}
