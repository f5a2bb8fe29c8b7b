package output

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// WriteAccepted says what went.
func WriteAccepted(w io.Writer, done api.Accepted) error {
	text := "accepted: " + textfmt.List(done.Removed, 20)
	if len(done.Removed) == 0 {
		text = fmt.Sprintf("nothing goes: all that %s stood for is listed again, or gone", textfmt.Clip(done.ID))
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", textfmt.Clip(done.Backend), text)
	return err
}

// acceptRows writes what of all backends can be accepted.
func acceptRows(b *strings.Builder, s api.Status) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	some := false
	for _, be := range s.Backends {
		for _, x := range be.Acceptable() {
			if !some {
				fmt.Fprintln(table, "\nID\tBACKEND\tKIND\tFOR\tWOULD GO\tWHY")
				some = true
			}
			tableLine(table, x.ID, be.Name, x.Kind, passed(s.At, x.Since), textfmt.List(x.Endpoints, 3), textfmt.OneLine(x.Reason))
		}
	}
	_ = table.Flush() // into memory
}
