package remote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// A Dump says what of the tables that HAProxy shows of itself is asked for.
type Dump struct {
	What            string // one of [slots.Dumps]
	Instance        string // "" for all
	Backend, Server string // "" for all; only where ByServer has the columns that name them
	ByServer        []string
	Columns         []string // nil for what is usual
}

// Ask returns the rows that every instance has of it. It fails for a column that none has.
func (d Dump) Ask(ctx context.Context, c *client.Client) ([]output.Answer[slots.Dump], error) {
	got, err := EveryInstance(ctx, c, d.Instance, func(ctx context.Context, name string) (slots.Dump, error) {
		dump, err := c.Dump(ctx, name, d.What)
		return d.choose(dump), err
	})
	if err != nil {
		return nil, err
	}
	return got, d.checkColumns(got)
}

func (d Dump) choose(dump slots.Dump) slots.Dump {
	for i, want := range []string{d.Backend, d.Server} {
		if want != "" {
			dump.Rows = slices.DeleteFunc(dump.Rows, func(r map[string]string) bool { return r[d.ByServer[i]] != want })
		}
	}
	return dump
}

// Missing is an error if somebody answers, and nobody has the backend or the server.
func (d Dump) Missing(got []output.Answer[slots.Dump]) error {
	if d.Backend == "" && d.Server == "" {
		return nil
	}
	answered := false
	for _, g := range got {
		if len(g.Value.Rows) > 0 {
			return nil
		}
		answered = answered || g.Error == ""
	}
	if !answered {
		return nil
	}
	return fmt.Errorf("no HAProxy has %s: slotsync haproxy stat lists all", strings.Trim(textfmt.Clip(d.Backend)+"/"+textfmt.Clip(d.Server), "/"))
}

// checkColumns refuses columns that no instance has. Those of sessions are not known where
// there is none.
func (d Dump) checkColumns(got []output.Answer[slots.Dump]) error {
	all := []string{"all"}
	for _, g := range got {
		all = append(all, g.Value.Columns...)
	}
	if d.What == "sess" || len(all) == 1 {
		return nil
	}
	for _, c := range d.Columns {
		if !slices.Contains(all, c) {
			return config.Usagef("there is no column %q%s", textfmt.Clip(c), textfmt.DidYouMean(c, all))
		}
	}
	return nil
}

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
