package output

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// soonFull is how near the end of the free slots has to be to be worth a word.
const soonFull = 7 * 24 * time.Hour

func lastReload(r api.ReloadStatus, now time.Time) string {
	switch {
	case r.Running:
		return "now"
	case r.Last == nil:
		return "never"
	}
	return passed(now, *r.Last) + " ago"
}

func reloadResult(r api.ReloadStatus) string {
	var words []string
	if r.Last != nil {
		result := "ok"
		if r.Error != "" {
			result = "failed: " + discovery.Printable(textfmt.OneLine(r.Error), 300)
		}
		if r.Reason != "" {
			result += " (" + discovery.Printable(textfmt.OneLine(r.Reason), 80) + ")"
		}
		words = append(words, result)
	}
	if r.ChangedByHand {
		words = append(words, "the file was changed by hand: slotsync haproxy config diff shows it; take it over into the template, then slotsync haproxy reload --force")
	}
	if len(r.OldWorkers) > 0 {
		oldest := slices.MaxFunc(r.OldWorkers, func(a, b api.OldWorker) int { return cmp.Compare(a.AgeSeconds, b.AgeSeconds) })
		words = append(words, fmt.Sprintf("%s (oldest pid %d, %s)", textfmt.Count(len(r.OldWorkers), "old worker"), oldest.Pid, textfmt.AboutSeconds(oldest.AgeSeconds)))
	}
	return dash(strings.Join(words, ", "))
}

func nextReload(r api.ReloadStatus, now time.Time) string {
	switch {
	case !r.Renders:
		return "when asked"
	case r.NextAfter == nil || !r.NextAfter.After(now):
		return "at once"
	}
	return "in " + passed(*r.NextAfter, now)
}

// needWords says how many endpoints wait for a slot, and what ends that.
func needWords(n api.NeedReload, now time.Time) string {
	text, given := textfmt.Count(n.Wanted-n.Slots, "endpoint")+" without a slot", ""
	if n.Wanted <= n.Slots {
		text = "a reload is needed"
	}
	if n.Latched {
		given = "given up: "
	}
	text += fmt.Sprintf(" (%s for %s", textfmt.Count(n.Slots, "slot"), textfmt.Count(n.Wanted, "endpoint"))
	if !n.Since.IsZero() {
		text += ", for " + passed(now, n.Since)
	}
	return text + "): " + given + textfmt.OneLine(n.Why)
}

// WriteNeeds says for which backends HAProxy is to be reloaded.
func WriteNeeds(w io.Writer, n api.ReloadAnswer) error {
	if !n.Needed {
		_, err := fmt.Fprintln(w, "no reload is needed")
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(n.Needs)) {
		need := n.Needs[name]
		fmt.Fprintf(w, "%s: %s, %s: %s\n", textfmt.Clip(name), textfmt.Count(need.Wanted, "endpoint"), textfmt.Count(need.Slots, "slot"), textfmt.OneLine(need.Why))
	}
	return nil
}

// forecastWords says when no slot is left, if that is soon.
func forecastWords(f api.Forecast) string {
	if f.FullInSeconds <= 0 || f.FullInSeconds > soonFull.Seconds() {
		return ""
	}
	return fmt.Sprintf("%d free, full in %s at %d an hour", f.Free, textfmt.AboutSeconds(f.FullInSeconds), f.PerHour)
}

// WriteReloads says which HAProxies are reloaded.
func WriteReloads(w io.Writer, done []api.ReloadStatus) error {
	for _, r := range done {
		if r.Last == nil {
			continue
		}
		fmt.Fprintf(w, "%s: HAProxy is reloaded (%s)", textfmt.Clip(r.Name), textfmt.List(r.Instances, 10))
		if r.Version != "" {
			fmt.Fprintf(w, ", version %s", textfmt.Clip(r.Version))
		}
		fmt.Fprintln(w)
	}
	return nil
}

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
