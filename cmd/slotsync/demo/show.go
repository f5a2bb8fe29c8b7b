package demo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// facts are one moment of the demo.
type facts struct {
	Now, Began time.Time
	Status     api.Status
	Tally      traffic.Tally
	Names      map[netip.AddrPort]string
	Dead       map[string]bool
	DNS        string // what the DNS server says
}

// letter returns who is in a slot of one HAProxy: the name where it takes traffic, in lower case
// where it drains, "." where it is free; "" if only other HAProxies have the slot.
func (f facts) letter(slot api.SlotStatus, instance string) string {
	for _, live := range slot.Instances {
		switch {
		case live.Instance != instance:
		case live.Lacking:
			return ""
		case live.State == slots.Drain:
			return strings.ToLower(f.name(live.Address))
		case live.State != slots.Maint:
			return f.name(live.Address)
		}
	}
	return "."
}

func (f facts) name(address string) string {
	if a, err := netip.ParseAddrPort(address); err == nil && f.Names[a] != "" {
		return f.Names[a]
	}
	return "?"
}

// hold says what the guard keeps back.
func (f facts) hold(h api.Hold) string {
	gone := make([]string, 0, len(h.WouldRemove))
	for _, address := range h.WouldRemove {
		gone = append(gone, f.name(address))
	}
	slices.Sort(gone)
	ends := "until somebody accepts it"
	if !h.ReleasesAt.IsZero() {
		ends = fmt.Sprintf("for %.1f s more", max(0, h.ReleasesAt.Sub(f.Now).Seconds()))
	}
	return fmt.Sprintf("held %s: without %s, confirmed %d times", ends, strings.Join(gone, " "), h.Confirmations)
}

// A style is how the demo's words are set off. Its zero value sets nothing
// off.
type style struct{ Colour bool }

func (s style) paint(as textfmt.Style, text string) string {
	if !s.Colour {
		return text
	}
	return as.Paint(text)
}

func (s style) bold(text string) string   { return s.paint(textfmt.Bold, text) }
func (s style) dim(text string) string    { return s.paint(textfmt.Dim, text) }
func (s style) red(text string) string    { return s.paint(textfmt.Red, text) }
func (s style) green(text string) string  { return s.paint(textfmt.Green, text) }
func (s style) yellow(text string) string { return s.paint(textfmt.Yellow, text) }

// view returns the lines that show f: one for each HAProxy and one for
// discovery.
func (s style) view(f facts) (lines []string) {
	for _, instance := range f.Status.Instances {
		lines = append(lines, s.proxy(f, instance))
	}
	last := fmt.Sprintf("  %5.1fs  %s", f.Now.Sub(f.Began).Seconds(), f.DNS)
	for _, b := range f.Status.Backends {
		if b.Hold != nil {
			last += "   " + s.yellow(f.hold(*b.Hold))
		}
	}
	return append(lines, last)
}

// maxSpread is how many slots are shown with gaps between them: more would not
// fit into 80 columns.
const maxSpread = 16

func (s style) proxy(f facts, i api.InstanceStatus) string {
	var letters []string
	for _, b := range f.Status.Backends {
		for _, slot := range b.Slots {
			switch letter := f.letter(slot, i.Name); letter {
			case "":
			case ".":
				letters = append(letters, s.dim(letter))
			default:
				letters = append(letters, s.green(letter))
			}
		}
	}
	gap := " "
	if len(letters) > maxSpread {
		gap = ""
	}
	count := f.Tally.ByTarget[i.Name]
	failed := fmt.Sprintf("%d failed", count.Failed)
	if count.Failed > 0 {
		failed = s.red(failed)
	}
	return fmt.Sprintf("  %s  [%s]  %s %6d requests, %s", s.bold(i.Name), strings.Join(letters, gap), s.state(i, f.Dead[i.Name]), count.Requests, failed)
}

// state says how an HAProxy is doing, or what it waits for.
func (s style) state(i api.InstanceStatus, dead bool) string {
	wide := func(text string) string { return fmt.Sprintf("%-11s", text) }
	switch {
	case dead:
		return s.red(wide("dead"))
	case !i.Up:
		return s.yellow(wide("no answer"))
	case i.InSync:
		return s.green(wide("in sync"))
	case i.LagSeconds > 0:
		return s.yellow(wide(fmt.Sprintf("lag %.2f s", i.LagSeconds)))
	}
	return s.yellow(wide("not in sync"))
}

// chapter returns the heading of one part of the story: what happens, and what
// there is to see.
func (s style) chapter(number int, title, see string) []string {
	return []string{"", s.bold(fmt.Sprintf("%d. %s", number, title)), "   " + s.dim(see)}
}

// seen returns the line that says that what was to be seen was.
func (s style) seen(after time.Duration, what string) string {
	return fmt.Sprintf("   %s %s after %.2f s", s.green("ok"), what, after.Seconds())
}

// A summary is what the story came to.
type summary struct {
	Tally   traffic.Tally
	Slow    traffic.Tally // the requests that take slowAnswer
	Windows []traffic.Window
	Began   time.Time
	// Served is how long each change took at each HAProxy, from the change at
	// the DNS server; Agent from the answer that told slotsync of it.
	Served, Agent []time.Duration
	// Problem is what was to be seen and was not.
	Problem error
}

// requests returns the counts of all traffic together.
func (m summary) requests() traffic.Count { return m.Tally.Plus(m.Slow.Count) }

// verdict returns why the demo failed, nil if it did not.
func (m summary) verdict() error {
	all := m.requests()
	switch {
	case m.Problem != nil:
		return m.Problem
	case all.Requests == 0:
		return fmt.Errorf("no request was made")
	case all.Failed > 0:
		return fmt.Errorf("%d of %d requests failed", all.Failed, all.Requests)
	}
	return nil
}

func (s style) summary(m summary) []string {
	all := m.requests()
	failed := s.green(fmt.Sprintf("%d failed", all.Failed))
	if all.Failed > 0 {
		failed = s.red(fmt.Sprintf("%d failed", all.Failed))
	}
	lines := []string{
		"", s.bold("Summary"),
		fmt.Sprintf("   %d requests, %s (%d of them took %s; %d more found a dead HAProxy)",
			all.Requests, failed, m.Slow.Requests, slowAnswer, all.Excused),
	}
	for _, w := range m.Windows {
		lines = append(lines, fmt.Sprintf("   %s was dead from %.2f s to %.2f s; what failed there meanwhile is not counted",
			w.Target, w.From.Sub(m.Began).Seconds(), w.To.Sub(m.Began).Seconds()))
	}
	lines = append(lines,
		"   propagation, change of the DNS records -> every slot of an HAProxy read back as it should be: "+spread(m.Served),
		"   of that, slotsync's own part, DNS answer -> slots read back:                                   "+spread(m.Agent),
		s.dim(fmt.Sprintf("   (one value for each change and HAProxy; the wait for the next question to DNS, %s to 1s, is in the first only; held removals and what waits for a reload are in none)", refresh)),
		s.dim("   failed: no complete answer, or not 2xx or 3xx; no request is ever repeated, and an instance that has stopped answers 503"))
	for _, r := range slices.Concat(m.Tally.Failures, m.Slow.Failures) {
		lines = append(lines, s.red("   failed: "+r.String()))
	}
	if err := m.verdict(); err != nil {
		return append(lines, s.red("   FAILED: "+err.Error()))
	}
	return lines
}

func spread(values []time.Duration) string {
	if len(values) == 0 {
		return "none measured"
	}
	sorted := slices.Sorted(slices.Values(values))
	return fmt.Sprintf("median %.1f ms, worst %.1f ms, n=%d", milliseconds(sorted[len(sorted)/2]),
		milliseconds(sorted[len(sorted)-1]), len(sorted))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
