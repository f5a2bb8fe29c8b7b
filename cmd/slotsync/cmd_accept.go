package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newAcceptCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "accept BACKEND [ID]",
		Short: "Let go what is held, kept, or to be taken over",
		Long: `Let endpoints of a backend go that are still there: a removal that the guard holds
back, endpoints that are kept because a part of their source is not known, or live
addresses that no source has ever listed (takeover). Each has an id, which stands for the
endpoints as they were shown: of those, the ones that are still missing go. What is listed
again stays, and what went missing later stays held.

Without an ID, a terminal shows what would go and asks. Elsewhere the ID is needed: exit
2 names those that there are. slotsync status shows them too.`,
		Example: `  slotsync accept web
  slotsync accept web h3fa2c1
  slotsync accept web h3fa2c1 -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageErrorf("accept takes the name of one backend, and an id (see %s --help)", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd.Context(), a, format, func(c *client.Client) (api.Accepted, error) {
				id := nth(args, 1)
				if id == "" {
					var err error
					if id, err = a.chooseID(cmd.Context(), c, args[0], format); err != nil {
						return api.Accepted{}, err
					}
				}
				done, err := c.Accept(cmd.Context(), args[0], api.AcceptBody{ID: id, By: whoami()})
				return done, acceptFailed(err, args[0])
			}, func(done api.Accepted) error {
				_, err := fmt.Fprintln(a.stdout, output.AcceptedText(done))
				return err
			})
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// acceptFailed adds what to do where nothing could be accepted.
func acceptFailed(err error, backend string) error {
	switch {
	case errors.Is(err, api.ErrNoBackend):
		return fmt.Errorf("there is no backend %q: slotsync status lists them", textfmt.Clip(backend))
	case errors.Is(err, api.ErrNothingHeld):
		return fmt.Errorf("nothing of %s is held or kept", textfmt.Clip(backend))
	}
	return err
}

// chooseID asks on a terminal what is to go. Elsewhere it fails with the ids that there
// are.
func (a *app) chooseID(ctx context.Context, c *client.Client, backend, format string) (string, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(status.Backends, func(b api.BackendStatus) bool { return b.Name == backend })
	if i < 0 {
		return "", acceptFailed(api.ErrNoBackend, backend)
	}
	list := status.Backends[i].Acceptable()
	switch {
	case len(list) == 0:
		return "", acceptFailed(api.ErrNothingHeld, backend)
	case format != "text" || !textfmt.IsTerminal(os.Stdin) || !textfmt.IsTerminal(a.stdout):
		return "", usageErrorf("accept takes an id of %s here: %s", textfmt.Clip(backend), textfmt.List(ids(list), 20))
	}
	return askID(os.Stdin, a.stdout, list)
}

// ids names what can be accepted, each with its kind.
func ids(list []api.Acceptable) []string {
	var out []string
	for _, x := range list {
		out = append(out, fmt.Sprintf("%s (%s, %s)", x.ID, x.Kind, textfmt.Count(len(x.Endpoints), "endpoint")))
	}
	return out
}

// askID shows what can be accepted and asks which of it: yes or no where there is one.
func askID(in io.Reader, out io.Writer, list []api.Acceptable) (string, error) {
	for i, x := range list {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s  %s since %s: %s\n", textfmt.Clip(x.ID), textfmt.Clip(x.Kind), x.Since.Format(time.TimeOnly), textfmt.OneLine(x.Reason))
		for _, e := range x.Endpoints {
			fmt.Fprintf(out, "    %s would go\n", textfmt.Clip(e))
		}
	}
	question := "\nLet them go? [y/N] "
	if len(list) > 1 {
		question = "\nWhich of them? (an id; nothing: none) "
	}
	fmt.Fprint(out, question)
	said, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return answeredID(strings.TrimSpace(said), list)
}

// answeredID is the id that an answer to askID stands for.
func answeredID(said string, list []api.Acceptable) (string, error) {
	yes := strings.EqualFold(said, "y") || strings.EqualFold(said, "yes")
	if yes && len(list) == 1 {
		return list[0].ID, nil
	}
	for _, x := range list {
		if said == x.ID {
			return said, nil
		}
	}
	if said == "" || strings.EqualFold(said, "n") || strings.EqualFold(said, "no") {
		return "", errors.New("nothing is accepted")
	}
	return "", fmt.Errorf("nothing is accepted: %q is none of %s", textfmt.Clip(said), textfmt.List(ids(list), 20))
}
