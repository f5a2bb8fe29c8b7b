// Package output writes what commands show: status, lists and explanations, as text and as
// JSON. Nothing that came from outside is obeyed by a terminal.
package output

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// A Style says how a status is shown.
type Style struct {
	Colour bool
	All    bool // free slots too
}

// WriteStatus writes s as tables. Everything from outside is made printable.
func (t Style) WriteStatus(w io.Writer, s api.Status) error {
	var b strings.Builder
	if !s.Ready {
		fmt.Fprintf(&b, "%s\n\n", t.warn("not ready: "+textfmt.List(s.NotReady, 5)))
	}
	if s.ConfigRefused != "" {
		fmt.Fprintf(&b, "%s\n\n", t.warn("the configuration that was read last is refused, the one before it is in force: "+textfmt.OneLine(s.ConfigRefused)))
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INSTANCE\tSOCKET\tHAPROXY\tPID\tSTATE")
	for _, in := range s.Instances {
		tableLine(table, in.Name, in.Socket, dash(in.Version), Number(in.Pid), InstanceState(in))
	}
	fmt.Fprintln(table, "\nSOURCE\tBACKEND\tASKS\tENDPOINTS\tSTATE")
	for _, src := range s.Sources {
		tableLine(table, src.Name, src.Backend, src.Asks, strconv.Itoa(src.Endpoints), SourceState(src))
	}
	for i, row := range partRows(s.Sources) {
		if i == 0 {
			fmt.Fprintln(table, "\nPART\tSOURCE\tBACKEND\tSTATE\tWHY")
		}
		tableLine(table, row...)
	}
	fmt.Fprintln(table, "\nBACKEND\tHAPROXY'S\tSLOTS\tREADY\tDRAIN\tDOWN\tSTATE")
	for _, be := range s.Backends {
		n := slotCounts(be)
		tableLine(table, be.Name, be.Backend, strconv.Itoa(len(be.Slots)), strconv.Itoa(be.Serving), strconv.Itoa(n["drain"]), strconv.Itoa(n["down"]), BackendState(be, s.At))
	}
	if rows := Overrides(s); len(rows) > 0 {
		fmt.Fprintln(table, "\nOVERRIDE\tENDPOINT\tASKED FOR")
		for _, r := range rows {
			tableLine(table, r.Where, dash(r.Endpoint), r.Text)
		}
	}
	if len(s.Reloads) > 0 {
		fmt.Fprintln(table, "\nRELOAD\tINSTANCES\tLAST\tNEXT\tRESULT")
	}
	for _, r := range s.Reloads {
		tableLine(table, r.Name, textfmt.List(r.Instances, 5), lastReload(r, s.At), nextReload(r, s.At), reloadResult(r))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	acceptRows(&b, s)
	t.slots(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Style) slots(b *strings.Builder, s api.Status) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	shown, away := 0, api.Silent(s.Instances)
	for _, be := range s.Backends {
		for _, slot := range be.Slots {
			if slot.State == "free" && !t.All {
				continue
			}
			if shown++; shown == 1 {
				fmt.Fprintln(table, "\nSLOT\tENDPOINT\tSTATE\tNAME\tINSTANCES")
			}
			tableLine(table, be.Backend+"/"+slot.Name, dash(slot.Endpoint), heldState(be, slot), dash(discovery.Printable(slot.Title, 60)), instancesOf(slot, away))
		}
	}
	_ = table.Flush() // into memory
}

func slotCounts(b api.BackendStatus) map[string]int {
	n := map[string]int{}
	for _, slot := range b.Slots {
		n[slot.State]++
	}
	return n
}

// InstanceState says how an instance is doing.
func InstanceState(in api.InstanceStatus) string {
	var words []string
	switch {
	case !in.Up && in.LastError != "":
		words = append(words, "down: "+textfmt.OneLine(in.LastError))
	case !in.Up:
		words = append(words, "down")
	case in.InSync:
		words = append(words, "in sync")
	default:
		words = append(words, fmt.Sprintf("behind by %s", textfmt.AboutSeconds(in.LagSeconds)))
		if in.LastError != "" {
			words = append(words, textfmt.OneLine(in.LastError))
		}
	}
	return strings.Join(append(words, in.Deviations()...), ", ")
}

// SourceState says how a source is doing, on one line.
func SourceState(s api.SourceStatus) string {
	words := s.StateWords()
	if s.AgeSeconds >= 0 && s.State == "failing" {
		words += ", last answer " + textfmt.AboutSeconds(s.AgeSeconds) + " ago"
	}
	if s.LastError != "" && s.State != "ok" {
		words += ": " + textfmt.OneLine(s.LastError)
	}
	if n := len(s.Parts) + s.PartsMore; n > 0 {
		words += ", " + textfmt.Count(n, "part") + " not whole"
	}
	for _, more := range []string{s.KeptWords(), s.RejectedWords()} {
		if more != "" {
			words += ", " + more
		}
	}
	return words
}

// maxPartRows bounds the parts of one source that a table lists.
const maxPartRows = 5

func partRows(sources []api.SourceStatus) (rows [][]string) {
	for _, s := range sources {
		for _, p := range s.Parts[:min(len(s.Parts), maxPartRows)] {
			rows = append(rows, []string{dash(p.Name), s.Name, s.Backend, p.State, textfmt.OneLine(p.Reason)})
		}
		if more := len(s.Parts) + s.PartsMore - maxPartRows; more > 0 {
			rows = append(rows, []string{fmt.Sprintf("%d more", more), s.Name, s.Backend, "-", "-"})
		}
	}
	return rows
}

// BackendState says how a backend is doing at that time, on one line, with the command that
// ends what is held.
func BackendState(b api.BackendStatus, now time.Time) string {
	words := []string{api.PhaseWords(b.Phase)}
	if b.Hold != nil {
		words = append(words, holdText(*b.Hold, now)+acceptCommand(b.Name, b.Hold.ID))
	}
	if h := b.Takeover; h != nil && (b.Hold == nil || b.Hold.ID != h.ID) {
		words = append(words, holdText(*h, now)+acceptCommand(b.Name, h.ID))
	}
	for _, k := range b.Kept {
		words = append(words, keptText(k, now)+acceptCommand(b.Name, k.ID))
	}
	if len(b.Overflow) > 0 && b.NeedReload == nil {
		words = append(words, textfmt.Count(len(b.Overflow), "endpoint")+" without a slot")
	}
	if b.NeedReload != nil {
		words = append(words, needWords(*b.NeedReload, now))
	} else if text := forecastWords(b.Forecast); text != "" {
		words = append(words, text)
	}
	if b.Paused != nil {
		words = append(words, "paused for another "+passed(*b.Paused, now)+" by "+textfmt.OneLine(b.PausedBy))
	}
	if b.Problem != "" {
		words = append(words, textfmt.OneLine(b.Problem))
	}
	return strings.Join(words, ", ")
}

func holdText(h api.Hold, now time.Time) string {
	text := fmt.Sprintf("held (%s) for %s: would remove %s", h.Kind, passed(now, h.Since), textfmt.List(h.WouldRemove, 3))
	if h.BlocksWriting {
		text += ", and nothing is written before"
	}
	if !h.ReleasesAt.IsZero() {
		text += ", in " + textfmt.About(h.ReleasesAt.Sub(now))
	}
	return text
}

// acceptCommand says how to let it go.
func acceptCommand(backend, id string) string {
	return " (slotsync accept " + strings.TrimSpace(textfmt.Clip(backend)+" "+textfmt.Clip(id)) + ")"
}

func keptText(k api.KeptSet, now time.Time) string {
	text := fmt.Sprintf("%d kept for %s (%s)", len(k.Endpoints), passed(now, k.Since), textfmt.OneLine(k.Words()))
	if n := len(k.Yielded); n > 0 {
		text += fmt.Sprintf(", %d of them without a slot", n)
	}
	return text
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Number is n in a table, where "-" stands for none.
func Number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (t Style) warn(text string) string {
	if !t.Colour {
		return text
	}
	return textfmt.Yellow.Paint(text)
}
