package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// outputBytes has answers printed as they came.
const outputBytes = "bytes"

func newRawCommand(a *app) *cobra.Command {
	var format, instance string
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
			if format != outputBytes {
				if err := knownOutput(format); err != nil {
					return err
				}
			}
			r := &rawSender{app: a, instance: instance, output: format, yes: yes}
			if len(args) == 0 {
				return r.lines(cmd.Context(), cmd.InOrStdin())
			}
			return r.send(cmd.Context(), strings.Join(args, " "))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "send it although it may change something")
	instanceFlag(cmd, &instance)
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text, json, or bytes: text as HAProxy sent it, whatever a terminal does with it")
	a.agentFlags(cmd)
	return cmd
}

// A rawSender sends lines of commands, and prints the answers.
type rawSender struct {
	*app
	instance, output string
	yes              bool
	agent            *client.Client // nil until the first line that may be sent
}

// send sends one line to every instance, or to the one that is wanted.
func (r *rawSender) send(ctx context.Context, line string) error {
	if err := rawAllowed(line, r.yes); err != nil {
		return err
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	got, err := everyInstance(ctx, r.agent, r.instance, func(ctx context.Context, name string) (string, error) {
		return r.agent.Raw(ctx, name, api.RawBody{Command: line, By: whoami()})
	})
	if err != nil {
		return err
	}
	if r.output == "json" {
		return errors.Join(output.WriteJSON(r.stdout, got), output.Unanswered(got))
	}
	return errors.Join(output.WriteAnswers(r.stdout, got, r.output == outputBytes), output.Unanswered(got))
}

func (r *rawSender) connect(ctx context.Context) (err error) {
	if r.agent == nil {
		r.agent, err = r.client(ctx)
	}
	return err
}

// lines sends what in says, line by line, until it ends or says "quit".
func (r *rawSender) lines(ctx context.Context, in io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	person := textfmt.IsTerminal(in)
	read := typed(ctx, in)
	for n := 0; ; n++ {
		if person {
			fmt.Fprint(r.stderr, "> ") // answers alone go where output goes
		}
		line, err := read()
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

// typed returns what reads the next line of in that is not empty: io.EOF when in has
// ended or says "quit", and the error of ctx when that is over, even while in is silent.
func typed(ctx context.Context, in io.Reader) func() (string, error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		read := bufio.NewScanner(in)
		for read.Scan() {
			line := strings.TrimSpace(read.Text())
			if line == "quit" {
				break
			}
			if line == "" {
				continue
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
		failed <- cmp.Or(read.Err(), io.EOF)
	}()
	return func() (string, error) {
		select {
		case line := <-lines:
			return line, nil
		case err := <-failed:
			return "", err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// rawAllowed refuses what is nothing, and what may write and was not meant to.
func rawAllowed(line string, yes bool) error {
	switch {
	case strings.TrimSpace(line) == "":
		return usageErrorf("raw takes a command, as in: slotsync haproxy raw show pools")
	case !yes && !web.OnlyShows(line):
		return usageErrorf("%q may change something: add --yes if that is meant", textfmt.Clip(line))
	}
	return nil
}
