package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// BackendName is what a backend is called where "" stands for all of them.
func BackendName(backend string) string {
	if backend == "" {
		return "all backends"
	}
	return textfmt.Clip(backend)
}

// WritePaused says until when nothing is written.
func WritePaused(w io.Writer, p api.Pause) error {
	_, err := fmt.Fprintf(w, "%s: paused until %s\n", BackendName(p.Backend), p.Until.UTC().Format(time.RFC3339))
	return err
}

// A Resumed is a pause that was ended, and those that are left.
type Resumed struct {
	Backend string      `json:"backend"` // "" for all
	Pauses  []api.Pause `json:"pauses"`
}

// WriteResumed says that writing goes on, or what still keeps it from that.
func WriteResumed(w io.Writer, done Resumed) error {
	said := "goes on"
	if i := slices.IndexFunc(done.Pauses, func(p api.Pause) bool { return p.Backend == "" }); i >= 0 {
		said = "its own pause is over; " + stillPaused(done.Pauses[i])
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", BackendName(done.Backend), said)
	return err
}

// An Override is one thing that operators have asked for, also of what nobody lists.
type Override struct {
	Where, Endpoint, Text string
	Backend               string // ours; "" for all
}

// Overrides lists what operators have asked for: where nothing is written first.
func Overrides(s api.Status) []Override {
	var rows []Override
	for _, p := range s.Pauses {
		rows = append(rows, Override{Where: BackendName(p.Backend), Text: p.Words(), Backend: p.Backend})
	}
	for _, o := range s.Overrides {
		rows = append(rows, Override{BackendName(o.Backend), o.Address, o.Words(), o.Backend})
	}
	return rows
}

// Pending says why what is asked of backends is not written now, and when it will be.
func Pending(s api.Status, backends []string) []string {
	var lines []string
	for _, p := range s.Pauses {
		if p.Backend == "" || slices.Contains(backends, p.Backend) {
			lines = append(lines, stillPaused(p))
		}
	}
	if away := awayFrom(s, backends); len(away) > 0 {
		lines = append(lines, fmt.Sprintf("not in force yet at %s: no answer from there; it is done as soon as there is one", textfmt.List(away, 5)))
	}
	return lines
}

func stillPaused(p api.Pause) string {
	end := "slotsync resume"
	if p.Backend != "" {
		end += " " + textfmt.Clip(p.Backend)
	}
	return fmt.Sprintf("%s: writing is paused until %s: %s ends that", BackendName(p.Backend), p.Until.UTC().Format(time.RFC3339), end)
}

func awayFrom(s api.Status, backends []string) []string {
	var away []string
	for _, in := range s.Instances {
		if !in.Up && slices.ContainsFunc(backends, func(b string) bool { return s.MayServe(in.Name, b) }) {
			away = append(away, in.Name)
		}
	}
	return away
}

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
