package output

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// AcceptedText says what went.
func AcceptedText(done api.Accepted) string {
	if len(done.Removed) == 0 {
		return fmt.Sprintf("%s: nothing goes: all that %s stood for is listed again, or gone", textfmt.Clip(done.Backend), textfmt.Clip(done.ID))
	}
	return fmt.Sprintf("%s: accepted: %s", textfmt.Clip(done.Backend), textfmt.List(done.Removed, 20))
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
