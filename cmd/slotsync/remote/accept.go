package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// Accept has endpoints of a backend go, and says what to do where nothing could be accepted.
func Accept(ctx context.Context, c *client.Client, backend string, body api.AcceptBody) (api.Accepted, error) {
	done, err := c.Accept(ctx, backend, body)
	return done, unknownSubject(err, backend, "")
}

// Explain has about explained, and says where the right name of it is found.
func Explain(ctx context.Context, c *client.Client, backend, about string) (api.Explanation, error) {
	e, err := c.Explain(ctx, backend, about)
	return e, unknownSubject(err, backend, about)
}

// unknownSubject is err, with what to do where there is nothing of that name.
func unknownSubject(err error, backend, about string) error {
	switch {
	case errors.Is(err, api.ErrNoBackend):
		return fmt.Errorf("there is no backend %q: slotsync status lists them", textfmt.Clip(backend))
	case errors.Is(err, api.ErrNoSubject):
		return fmt.Errorf("%q is neither an address nor a slot of %s: slotsync status --all lists the slots", textfmt.Clip(about), textfmt.Clip(backend))
	case errors.Is(err, api.ErrNothingHeld):
		return fmt.Errorf("nothing of %s is held or kept", textfmt.Clip(backend))
	}
	return err
}

// ChooseID asks which of what a backend has is to be accepted. Without a terminal, in is nil:
// it fails with the ids that there are.
func ChooseID(ctx context.Context, c *client.Client, backend string, in io.Reader, out io.Writer) (string, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(status.Backends, func(b api.BackendStatus) bool { return b.Name == backend })
	if i < 0 {
		return "", unknownSubject(api.ErrNoBackend, backend, "")
	}
	list := status.Backends[i].Acceptable()
	switch {
	case len(list) == 0:
		return "", unknownSubject(api.ErrNothingHeld, backend, "")
	case in == nil:
		return "", config.Usagef("accept takes an id of %s here: %s", textfmt.Clip(backend), textfmt.List(ids(list), 20))
	}
	return askID(ctx, in, out, list, status.At)
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
func askID(ctx context.Context, in io.Reader, out io.Writer, list []api.Acceptable, now time.Time) (string, error) {
	for i, x := range list {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s  %s for %s: %s\n", textfmt.Clip(x.ID), textfmt.Clip(x.Kind), textfmt.About(now.Sub(x.Since)), textfmt.OneLine(x.Reason))
		for _, e := range x.Endpoints {
			fmt.Fprintf(out, "    %s would go\n", textfmt.Clip(e))
		}
	}
	question := "\nLet them go? [y/N] "
	if len(list) > 1 {
		question = "\nWhich of them? (an id; nothing: none) "
	}
	fmt.Fprint(out, question)
	said, err := Lines(ctx, in)()
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return answeredID(said, list)
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
