package output

import (
	"cmp"
	"fmt"
	"io"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// WriteEvent writes one line of what happened: when, where, what, in words.
func WriteEvent(w io.Writer, e api.Event) error {
	where := cmp.Or(e.Backend, e.Instance, "-")
	if e.Backend != "" && e.Instance != "" {
		where = e.Backend + "@" + e.Instance
	}
	_, err := fmt.Fprintf(w, "%s  %-16s %-18s %s\n", e.At.UTC().Format("2006-01-02 15:04:05Z"), textfmt.Clip(where), textfmt.Clip(e.Kind), textfmt.OneLine(e.Text))
	return err
}
