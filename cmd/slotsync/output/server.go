package output

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// WriteDone says what was done to a server.
func WriteDone(w io.Writer, ref api.ServerRef, what string) error {
	slot := ""
	if ref.Slot != "" {
		slot = " (slot " + textfmt.Clip(ref.Slot) + ")"
	}
	_, err := fmt.Fprintf(w, "%s/%s%s: %s\n", textfmt.Clip(ref.Backend), textfmt.Clip(ref.Endpoint), slot, what)
	return err
}

// WriteServers prints rows, with the instances where a server is otherwise than it is
// asked to be, and those that are silent.
func WriteServers(w io.Writer, rows []api.ServerRow, silent []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKEND\tENDPOINT\tSLOT\tSTATE\tNAME\tINSTANCES\tASKED FOR")
	for _, r := range rows {
		at := instancesOf(api.SlotStatus{Endpoint: r.Endpoint, State: r.State, Instances: r.Instances}, silent)
		tableLine(table, r.Backend, r.Endpoint, dash(r.Slot), r.State, dash(r.Name), at, dash(r.Override))
	}
	return table.Flush()
}
