package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// formatBytes has answers printed as they came.
const formatBytes = "bytes"

func newRawCommand(a *app) *cobra.Command {
	var instance string
	var yes bool
	cmd := &cobra.Command{
		Use:   "raw [COMMAND...]",
		Short: "Send a line of commands to HAProxy, as it is",
		Long: `Send a line of Runtime API commands to every instance, or to one, and print what
each answers, with a dot for each sign that a terminal would obey (-o bytes: as it
came). Several commands are separated by ";". Whatever is more than "show" or
"help" needs --yes, and the unix socket or a token: the agent does not know of it,
and what it changes of a slot counts as somebody else's doing.

Without COMMAND, lines are read from standard input until it ends or says "quit". On a
terminal there is a prompt and a line that fails is only reported; else nothing is sent
after it.`,
		Example: `  slotsync haproxy raw show pools
  slotsync haproxy raw "show version; show activity" --instance edge-1
  slotsync haproxy raw --yes "clear counters"
  echo "show info; show stat" | slotsync haproxy raw
  slotsync haproxy raw --instance edge-1    # interactive`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &rawSender{app: a, instance: instance, yes: yes}
			if len(args) == 0 {
				return r.sendLines(cmd.Context(), cmd.InOrStdin())
			}
			return r.send(cmd.Context(), strings.Join(args, " "))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "send it although it may change something")
	instanceFlag(cmd, &instance)
	a.formatFlag(cmd, "text, json, or bytes: text as HAProxy sent it, whatever a terminal does with it", formatText, formatJSON, formatBytes)
	a.agentFlags(cmd)
	return cmd
}

// A rawSender sends lines of commands, and prints the answers.
type rawSender struct {
	*app
	instance string
	yes      bool
	agent    *client.Client // nil until the first line that may be sent
}

// send sends one line to every instance, or to the one that is wanted.
func (r *rawSender) send(ctx context.Context, line string) (err error) {
	if err := remote.CheckRaw(line, r.yes); err != nil {
		return err
	}
	if r.agent == nil {
		if r.agent, err = r.client(); err != nil {
			return err
		}
	}
	got, err := remote.EveryInstance(ctx, r.agent, r.instance, func(ctx context.Context, name string) (string, error) {
		return r.agent.Raw(ctx, name, api.RawBody{Command: line, By: remote.User()})
	})
	if err != nil {
		return err
	}
	return errors.Join(show(r.app, got, func(w io.Writer, got []output.Answer[string]) error {
		return output.WriteAnswers(w, got, r.format == formatBytes)
	}), output.Unanswered(got))
}

// sendLines sends what in says, line by line, until it ends or says "quit".
func (r *rawSender) sendLines(ctx context.Context, in io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	person := textfmt.IsTerminal(in)
	read := remote.Lines(ctx, in)
	for n := 0; ; n++ {
		if person {
			fmt.Fprint(r.stderr, "> ") // answers alone go where output goes
		}
		line, err := read()
		for err == nil && line == "" {
			line, err = read()
		}
		if line == "quit" {
			line, err = "", io.EOF
		}
		switch {
		case err == io.EOF && (n > 0 || person): // nothing at all is refused like an empty command
			return nil
		case err != nil && err != io.EOF:
			return err
		}
		if err := r.send(ctx, line); err != nil {
			if !person {
				return err
			}
			report(r.stderr, err)
		}
	}
}
