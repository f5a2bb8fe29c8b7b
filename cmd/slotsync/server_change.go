package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A serverChange is what a command does to one server, or to an address on all backends.
type serverChange struct {
	who     *api.WhoBody               // who asks, as it is sent; nil where nothing is
	more    int                        // arguments after the server
	check   func(args []string) error  // of the arguments; nil for nothing more
	what    func(args []string) string // is done
	instant bool                       // it is over at once: there is nothing to wait for
	one     func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error)
	all     func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) // nil without --address

	address         string // --address
	wait            bool   // --wait, until no session is left
	timeout         string // --timeout of that
	ip              netip.Addr
	backend, server string
}

// serverCommand makes cmd do x.
func (a *app) serverCommand(cmd cobra.Command, x *serverChange) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		wanted, called := 1+x.more, ""
		switch {
		case x.all != nil && x.more == 0:
			called = "one server, or --address"
		case x.address != "":
			called = "a weight alone, with --address"
		}
		if x.address != "" {
			wanted--
		}
		return takes(wanted, wanted, called)(cmd, args)
	}
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { return x.parse(args) }
	made := a.agentCommand(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		what := x.what(args)
		if x.address != "" {
			return a.changeAll(ctx, c, x, what)
		}
		ref, err := x.one(ctx, c, x.backend, x.server)
		if err != nil {
			return err
		}
		err = show(a, ref, func(w io.Writer, ref api.ServerRef) error { return output.WriteDone(w, ref, what) })
		if err != nil || x.instant {
			return err
		}
		return a.follow(ctx, c, x, []api.ServerRef{ref})
	})
	a.outputFlag(made)
	if x.all != nil {
		which := "every endpoint with this address, on all backends"
		if !x.instant {
			which += ", now and later"
		}
		made.Flags().StringVar(&x.address, "address", "", which)
	}
	return made
}

// parse reads the arguments, and the address.
func (x *serverChange) parse(args []string) (err error) {
	if x.who != nil {
		x.who.By = remote.User()
	}
	if x.address == "" {
		x.backend, x.server, err = parseServer(args[0])
	} else if x.ip, err = netip.ParseAddr(x.address); err != nil {
		err = usageErrorf("--address: %q is no IP address", textfmt.Clip(x.address))
	}
	if err != nil || x.check == nil {
		return err
	}
	return x.check(args)
}

// changeAll does x to an address on all backends, and says to which endpoints that was.
func (a *app) changeAll(ctx context.Context, c *client.Client, x *serverChange, what string) error {
	refs, failed := x.all(ctx, c, x.ip)
	if failed != nil && len(refs) == 0 {
		return failed
	}
	if x.instant && len(refs) == 0 {
		return fmt.Errorf("no endpoint has the address %s", x.ip)
	}
	err := show(a, refs, func(w io.Writer, refs []api.ServerRef) error {
		for _, ref := range refs {
			if err := output.WriteDone(w, ref, what); err != nil {
				return err
			}
		}
		if len(refs) == 0 {
			fmt.Fprintf(w, "%s: %s, and no endpoint has it now\n", x.ip, what)
		}
		return nil
	})
	if err = errors.Join(err, failed); err != nil || x.instant {
		return err
	}
	return a.follow(ctx, c, x, refs)
}

// follow says what of a change is not in force yet, or waits until no session is left.
func (a *app) follow(ctx context.Context, c *client.Client, x *serverChange, refs []api.ServerRef) error {
	if !x.wait {
		a.warnPending(ctx, c, refs)
		return nil
	}
	patience, err := api.ParseDuration(x.timeout)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	uncounted, err := remote.AwaitDrained(waiting, c, refs, func(left string) { fmt.Fprintln(a.stderr, "slotsync: waiting: "+left) })
	switch {
	case err == nil:
		fmt.Fprintln(a.stderr, "slotsync: no session is left")
		if len(uncounted) > 0 {
			fmt.Fprintf(a.stderr, "slotsync: warning: %s was reloaded or restarted meanwhile: sessions of an old worker are not counted without reload.master\n", textfmt.List(uncounted, 5))
		}
	case ctx.Err() == nil && waiting.Err() != nil:
		err = fmt.Errorf("not empty after %s: %w; the drain stays: slotsync server start ends it, slotsync server shutdown ends the sessions", x.timeout, err)
	}
	return err
}

// waitFlags has a change wait for the end of sessions.
func waitFlags(cmd *cobra.Command, x *serverChange) {
	cmd.Flags().BoolVar(&x.wait, "wait", false, "wait until no HAProxy has a session of it left, and say how many there are")
	x.timeout = "10m"
	durationFlag(cmd, &x.timeout, "timeout", "how long --wait waits, as in 10m or 2h; the drain stays after it, and the exit code is 1")
}

func parseServer(text string) (backend, server string, err error) {
	backend, server, ok := strings.Cut(text, "/")
	if !ok || backend == "" || server == "" {
		return "", "", usageErrorf("%q is not BACKEND/ADDRESS:PORT or BACKEND/SLOT", textfmt.Clip(text))
	}
	return backend, server, nil
}

// whoFlags adds how long and why something is asked for.
func whoFlags(cmd *cobra.Command, who *api.WhoBody) {
	durationFlag(cmd, &who.For, "for", "end it by itself after this time, as in 10m, 24h or 7d")
	cmd.Flags().StringVar(&who.Reason, "reason", "", "why, for whoever looks next")
	cmd.Flags().BoolVar(&who.Keep, "keep", false, "keep it however long the endpoint is not listed")
}

// warnPending says on standard error where what was asked of servers is not in force yet. An
// agent that does not say has taken it all the same.
func (a *app) warnPending(ctx context.Context, c *client.Client, refs []api.ServerRef) {
	s, err := c.Status(ctx)
	if err != nil {
		return
	}
	var backends []string
	for _, ref := range refs {
		backends = append(backends, ref.Backend)
	}
	for _, line := range output.Pending(s, backends) {
		fmt.Fprintln(a.stderr, "slotsync: "+line)
	}
}
