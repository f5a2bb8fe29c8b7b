package slots

import (
	"context"
	"maps"
	"slices"
)

// What a [Dump] can be of.
const (
	DumpInfo    = "info"    // the process: one row
	DumpStat    = "stat"    // frontends, backends and servers, with their counters
	DumpSess    = "sess"    // sessions
	DumpServers = "servers" // the state of all servers
)

// Dumps lists them.
var Dumps = [...]string{DumpInfo, DumpStat, DumpSess, DumpServers}

// A Dump is a table that an instance shows of itself, under HAProxy's own names.
// The zero value is an empty one.
type Dump struct {
	// Columns are in HAProxy's order.
	Columns []string `json:"columns"`
	// Rows have a value for each column that HAProxy shows of them.
	Rows []map[string]string `json:"rows"`
}

// Add appends a row of names and values in turn.
func (d *Dump) Add(pairs ...string) {
	row := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !slices.Contains(d.Columns, pairs[i]) {
			d.Columns = append(d.Columns, pairs[i])
		}
		row[pairs[i]] = pairs[i+1]
	}
	d.Rows = append(d.Rows, row)
}

// WithoutCookies is d without the cookies that have HAProxy send somebody to one server:
// with one of them anybody is sent there.
func (d Dump) WithoutCookies() Dump {
	rows := make([]map[string]string, len(d.Rows))
	for i, row := range d.Rows {
		if row["cookie"] != "" {
			row = maps.Clone(row)
			row["cookie"] = "hidden"
		}
		rows[i] = row
	}
	d.Rows = rows
	return d
}

// readerKey is where a context says that who asks may only read.
type readerKey struct{}

// ForReader returns a context in which an instance is asked for somebody who may only read:
// of those one has an answer at a time, so that there is room for who may do everything.
func ForReader(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, true)
}

// IsForReader reports whether ctx is of [ForReader].
func IsForReader(ctx context.Context) bool {
	is, _ := ctx.Value(readerKey{}).(bool)
	return is
}
