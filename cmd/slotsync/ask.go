package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// group makes cmd list the commands within it.
func group(cmd cobra.Command, within ...*cobra.Command) *cobra.Command {
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(within...)
	return &cmd
}

// askCommand makes cmd ask the running agent, and print the answer: as JSON, or as text does.
func askCommand[T any](a *app, cmd cobra.Command, ask func(ctx context.Context, c *client.Client, args []string) (T, error), text func(io.Writer, T) error) *cobra.Command {
	a.outputFlag(&cmd)
	return a.agentCommand(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		answer, err := ask(ctx, c, args)
		if err != nil {
			return err
		}
		return show(a, answer, text)
	})
}

func (a *app) agentCommand(cmd cobra.Command, do func(ctx context.Context, c *client.Client, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
	a.agentFlags(&cmd)
	return &cmd
}

// client finds the running agent.
func (a *app) client() (*client.Client, error) {
	c, err := a.place.Connect(func(doubt string) { fmt.Fprintln(a.stderr, "slotsync: warning: "+doubt) })
	if err != nil {
		return nil, err
	}
	c.Warn = func(doubt string) { fmt.Fprintln(a.stderr, "slotsync: warning: "+doubt) }
	c.Slow = func(question string) {
		fmt.Fprintf(a.stderr, "slotsync: no answer yet to %s: still waiting\n", question)
	}
	return c, nil
}

// show prints an answer as JSON if that is wanted, else as text does.
func show[T any](a *app, answer T, text func(io.Writer, T) error) error {
	if a.format == formatJSON {
		return output.WriteJSON(a.stdout, answer)
	}
	return text(a.stdout, answer)
}

// showFindings prints what was found, and fails with a code of its own if something does not work.
func (a *app) showFindings(list []api.Finding) error {
	if err := show(a, list, doctor.Write); err != nil || !doctor.Failed(list) {
		return err
	}
	return &exitError{code: exitFailed}
}

// readInput reads a file, or standard input for "-": no more than that many bytes.
func readInput(path string, most int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// printFile prints text as it is, unless a terminal would obey it.
func (a *app) printFile(text string) error {
	if textfmt.IsTerminal(a.stdout) {
		text = textfmt.Printable(text)
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}
