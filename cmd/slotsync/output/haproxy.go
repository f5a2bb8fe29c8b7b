package output

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// WriteVersions lists the kept versions of HAProxy's configuration.
func WriteVersions(w io.Writer, kept []api.ConfigVersion) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tWHEN\tBYTES\tSTATE\tBY\tREASON")
	for _, v := range kept {
		state := "not proved"
		if v.Good {
			state = "good"
		}
		tableLine(table, v.ID, v.At.UTC().Format(time.RFC3339), strconv.Itoa(v.Bytes), state,
			dash(discovery.Printable(v.By, 40)), dash(v.Reason))
	}
	return table.Flush()
}

// WriteSections lists the sections of HAProxy's configuration.
func WriteSections(w io.Writer, all []api.ConfigSection) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TYPE\tNAME\tLINE")
	for _, s := range all {
		tableLine(table, s.Type, dash(s.Name), strconv.Itoa(s.Line))
	}
	return table.Flush()
}
