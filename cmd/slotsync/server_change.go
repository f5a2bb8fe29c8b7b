package main

import (
	"context"
	"fmt"
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
		err = show(a, ref, func(ref api.ServerRef) error { return output.WriteDone(a.stdout, ref, what) })
		if !x.instant {
			a.warnPending(ctx, c, []api.ServerRef{ref})
		}
		return err
	})
	a.outputFlag(made)
	if x.all != nil {
		made.Flags().StringVar(&x.address, "address", "", "every endpoint with this address, on all backends, now and later")
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
	refs, err := x.all(ctx, c, x.ip)
	if err != nil {
		return err
	}
	defer a.warnPending(ctx, c, refs)
	return show(a, refs, func(refs []api.ServerRef) error {
		for _, ref := range refs {
			if err := output.WriteDone(a.stdout, ref, what); err != nil {
				return err
			}
		}
		if len(refs) == 0 {
			fmt.Fprintf(a.stdout, "%s: %s, and no endpoint has it now\n", x.ip, what)
		}
		return nil
	})
}

// parseServer takes BACKEND/SERVER apart.
func parseServer(text string) (backend, server string, err error) {
	backend, server, ok := strings.Cut(text, "/")
	if !ok || backend == "" || server == "" {
		return "", "", usageErrorf("%q is not BACKEND/ADDRESS:PORT or BACKEND/SLOT", textfmt.Clip(text))
	}
	return backend, server, nil
}

// whoFlags adds how long and why something is asked for.
func whoFlags(cmd *cobra.Command, who *api.WhoBody) {
	durationFlag(cmd, &who.For, "end it by itself after this time, as in 10m, 24h or 7d")
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
