package output

import (
	"fmt"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

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

// awayFrom names the instances of the backends that do not answer.
func awayFrom(s api.Status, backends []string) []string {
	var away []string
	for _, in := range s.Instances {
		if !in.Up && slices.ContainsFunc(backends, func(b string) bool { return s.MayServe(in.Name, b) }) {
			away = append(away, in.Name)
		}
	}
	return away
}
