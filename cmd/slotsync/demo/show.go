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

// A view is one moment of the demo, as it is shown.
type view struct {
	Elapsed time.Duration
	Proxies []proxyView
	DNS     string // what the DNS server says now
	Hold    string // what the guard keeps back, "" for nothing
}

// A proxyView is one HAProxy at one moment.
type proxyView struct {
	Name  string
	Slots []string // the letter of the instance, "." where free
	State string   // "in sync", "dead" or what it waits for
	traffic.Count
}

// facts is what a demoView is made of.
type facts struct {
	Now, Began time.Time
	Status     api.Status
	Tally      traffic.Tally
	Names      map[netip.AddrPort]string
	Dead       map[string]bool
	DNS        string
}

func newView(f facts) view {
	v := view{Elapsed: f.Now.Sub(f.Began), DNS: f.DNS}
	for _, instance := range f.Status.Instances {
		p := proxyView{Name: instance.Name, State: proxyWords(instance), Count: f.Tally.ByTarget[instance.Name]}
		if f.Dead[instance.Name] {
			p.State = "dead"
		}
		for _, b := range f.Status.Backends {
			p.Slots = append(p.Slots, slotLetters(b.Slots, instance.Name, f.Names)...)
		}
		v.Proxies = append(v.Proxies, p)
	}
	for _, b := range f.Status.Backends {
		if b.Hold != nil {
			v.Hold = holdWords(*b.Hold, f.Now, f.Names)
		}
	}
	return v
}

func proxyWords(i api.InstanceStatus) string {
	switch {
	case !i.Up:
		return "no answer"
	case i.InSync:
		return "in sync"
	case i.LagSeconds > 0:
		return fmt.Sprintf("lag %.2f s", i.LagSeconds)
	}
	return "not in sync"
}

// slotLetters returns who is in each slot of one HAProxy: the name where it
// takes traffic, in lower case where it drains.
func slotLetters(list []api.SlotStatus, instance string, names map[netip.AddrPort]string) []string {
	letters := make([]string, 0, len(list))
	for _, slot := range list {
		if lacks(slot, instance) {
			continue
		}
		letters = append(letters, slotLetter(slot, instance, names))
	}
	return letters
}

// lacks reports whether a slot is one that only other HAProxies have.
func lacks(slot api.SlotStatus, instance string) bool {
	return slices.ContainsFunc(slot.Instances, func(live api.InstanceSlot) bool { return live.Instance == instance && live.Lacking })
}

func slotLetter(slot api.SlotStatus, instance string, names map[netip.AddrPort]string) string {
	for _, live := range slot.Instances {
		if live.Instance != instance || live.State == slots.Maint {
			continue
		}
		name := nameOf(live.Address, names)
		if live.State == slots.Drain {
			name = strings.ToLower(name)
		}
		return name
	}
	return "."
}

func nameOf(address string, names map[netip.AddrPort]string) string {
	if a, err := netip.ParseAddrPort(address); err == nil && names[a] != "" {
		return names[a]
	}
	return "?"
}

func holdWords(h api.Hold, now time.Time, names map[netip.AddrPort]string) string {
	gone := make([]string, 0, len(h.WouldRemove))
	for _, address := range h.WouldRemove {
		gone = append(gone, nameOf(address, names))
	}
	slices.Sort(gone)
	ends := "until somebody accepts it"
	if !h.ReleasesAt.IsZero() {
		ends = fmt.Sprintf("for %.1f s more", max(0, h.ReleasesAt.Sub(now).Seconds()))
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

// view returns the lines that show v: one for each HAProxy and one for
// discovery.
func (s style) view(v view) []string {
	lines := make([]string, 0, len(v.Proxies)+1)
	for _, p := range v.Proxies {
		lines = append(lines, s.proxy(p))
	}
	last := fmt.Sprintf("  %5.1fs  %s", v.Elapsed.Seconds(), v.DNS)
	if v.Hold != "" {
		last += "   " + s.yellow(v.Hold)
	}
	return append(lines, last)
}

// maxSpread is how many slots are shown with gaps between them: more would not
// fit into 80 columns.
const maxSpread = 16

func (s style) proxy(p proxyView) string {
	letters := make([]string, len(p.Slots))
	for i, letter := range p.Slots {
		letters[i] = s.green(letter)
		if letter == "." {
			letters[i] = s.dim(letter)
		}
	}
	state := fmt.Sprintf("%-11s", p.State)
	switch p.State {
	case "in sync":
		state = s.green(state)
	case "dead":
		state = s.red(state)
	default:
		state = s.yellow(state)
	}
	failed := fmt.Sprintf("%d failed", p.Failed)
	if p.Failed > 0 {
		failed = s.red(failed)
	}
	gap := " "
	if len(letters) > maxSpread {
		gap = ""
	}
	return fmt.Sprintf("  %s  [%s]  %s %6d requests, %s", s.bold(p.Name), strings.Join(letters, gap), state, p.Requests, failed)
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
