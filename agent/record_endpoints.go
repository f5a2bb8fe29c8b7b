package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

// This file says what became of endpoints: which are held, kept or accepted, which came
// into service and which went.

// holdChanged is that something is held, or nothing any more; before is what was held, of the
// endpoints that were in force.
func (b *backend) holdChanged(before guard.Hold, were []discovery.Endpoint) happening {
	now := time.Now()
	h, held := b.guard.Hold(now)
	until := "never by itself"
	switch left := h.ReleasesAt.Sub(now).Round(time.Millisecond); {
	case h.ReleasesAt.IsZero():
	case left > 0:
		until = left.String() + " from now"
	default: // it has been missing for that long already
		until = "as soon as it is confirmed"
	}
	switch {
	case h.ID == before.ID && h.Kind == before.Kind:
		return happening{} // it goes on, or nothing was
	case !held:
		return b.holdEnded(before, were, now)
	}
	gone := calledAll(h.WouldRemove, b.guard.Published())
	line := "held: the source lists too few endpoints at once"
	if h.Kind == guard.Unhealthy {
		line = "held: every endpoint that is registered is unhealthy; what served last goes on"
	}
	return happening{level: slog.LevelWarn, line: line,
		attrs: []any{"kind", h.Kind, "would_remove", gone, "ends", until, "id", h.ID, "to_end_it", "slotsync accept " + b.Name + " " + h.ID},
		event: api.Event{Kind: api.EventHoldBegun, Backend: b.Name,
			Text:   fmt.Sprintf("held (%s): %s would be removed; slotsync accept %s %s has them go", h.Kind, discovery.Count(len(h.WouldRemove), "endpoint"), b.Name, h.ID),
			Fields: map[string]string{"hold": h.Kind, "id": h.ID, "ends": until, "would_remove": gone}}}
}

// holdEnded is what became of what was held: it is back, or it went. That a backend is
// empty is said by itself.
func (b *backend) holdEnded(before guard.Hold, were []discovery.Endpoint, now time.Time) happening {
	serving := discovery.ByAddr(b.guard.Published())
	gone := slices.DeleteFunc(slices.Clone(before.WouldRemove), func(x netip.AddrPort) bool { e, is := serving[x]; return is && e.State == discovery.Ready })
	h := happening{line: "nothing is held any more: what was missing is back", event: api.Event{Kind: api.EventHoldEnded, Backend: b.Name}}
	if len(gone) > 0 {
		out := enumerate(calledEach(gone, were), len(gone))
		h.level, h.line = slog.LevelWarn, "nothing is held any more: what was missing is taken out"
		h.attrs = []any{"out", out, "held_for", ago(now, before.Since)}
		h.event.Text = "nothing is held any more: taken out after " + ago(now, before.Since) + ": " + out
		if b.emptied() {
			h.line = ""
		}
	}
	return h
}

// keptChanged is what is kept and was not said to be, and the other way round. What is
// kept because a source does not answer at all, or has not yet, is said with that.
func (b *backend) keptChanged() (out []happening) {
	told := map[netip.AddrPort]bool{}
	for _, s := range b.keptSets() {
		fresh := slices.DeleteFunc(slices.Clone(s.addrs), func(x netip.AddrPort) bool { return b.keptTold[x] })
		f := b.feed(s.source)
		if f == nil || f.silent() {
			fresh = nil
		}
		for _, x := range s.addrs {
			told[x] = b.keptTold[x] || len(fresh) > 0
		}
		if len(fresh) == 0 {
			continue
		}
		list := calledAll(fresh, b.guard.Published())
		out = append(out, happening{level: slog.LevelWarn, line: "kept: the source does not list these now, and cannot say that they are gone",
			attrs: []any{"source", s.source, "part", s.part, "reason", s.reason, "endpoints", list,
				"id", s.id, "to_end_it", "slotsync accept " + b.Name + " " + s.id},
			event: api.Event{Kind: api.EventKeptBegun, Backend: b.Name, Source: s.source, Fields: map[string]string{"id": s.id, "part": s.part, "reason": s.reason},
				Text: fmt.Sprintf("kept: %s (%s: %s); slotsync accept %s %s has them go", list, api.PartOf(s.source, s.part), s.reason, b.Name, s.id)}})
	}
	var over []netip.AddrPort
	for x, was := range b.keptTold {
		if _, still := b.kept[x]; was && !still {
			over = append(over, x)
		}
	}
	b.keptTold = told
	if len(over) > 0 {
		out = append(out, b.notKept(over))
	}
	return out
}

// notKept is what became of what is not kept any more.
func (b *backend) notKept(over []netip.AddrPort) happening {
	slices.SortFunc(over, netip.AddrPort.Compare)
	var attrs []any
	var words []string
	for _, is := range []struct {
		key, words string
		listed     bool
	}{{"listed_again", "listed again", true}, {"gone", "gone", false}} {
		some := slices.DeleteFunc(slices.Clone(over), func(x netip.AddrPort) bool { return (len(b.listedBy(x)) > 0) != is.listed })
		if len(some) > 0 {
			list := calledAll(some, b.guard.Published())
			attrs, words = append(attrs, is.key, list), append(words, is.words+": "+list)
		}
	}
	return happening{line: "not kept any more", attrs: attrs,
		event: api.Event{Kind: api.EventKeptEnded, Backend: b.Name, Text: "not kept any more; " + strings.Join(words, "; ")}}
}

// accepted is what an operator had go; before are the endpoints that were in force.
func (b *backend) accepted(gone []netip.AddrPort, before []discovery.Endpoint, id, by string) happening {
	words := calledAll(gone, before)
	return happening{level: slog.LevelWarn, line: "an operator accepted that these go", attrs: []any{"id", id, "removed", words, "by", by},
		event: api.Event{Kind: api.EventAccepted, Backend: b.Name, Text: "an operator accepted that these go: " + words, Fields: map[string]string{"id": id, "by": by}}}
}

// addressStrings are addresses as people read them.
func addressStrings(addresses []netip.AddrPort) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a.String()
	}
	return out
}

// membersChanged is which endpoints came into service and which went, by name and with the
// reason: a warning where none is left. held is what was held before.
func (b *backend) membersChanged(before []discovery.Endpoint, held guard.Hold) happening {
	in, out := comingAndGoing(before, b.guard.Published())
	if len(in)+len(out) == 0 {
		return happening{}
	}
	about := []any{"in", enumerate(in, len(in)), "out", enumerate(out, len(out)), "ready", discovery.CountReady(b.guard.Published())}
	if !b.emptied() {
		return happening{line: "endpoints changed", attrs: about, event: api.Event{Backend: b.Name}}
	}
	why := b.whyEmpty(held, time.Now()) + ", " + discovery.Count(len(out), "server") + " taken out"
	return happening{level: slog.LevelWarn, line: "backend is empty", attrs: append([]any{"why", why, "requests_get", "503, unless the backend has other servers"}, about...),
		event: api.Event{Kind: api.EventEmptied, Backend: b.Name, Text: b.Name + " is empty: " + why + ": " + enumerate(out, len(out))}}
}

// comingAndGoing are the endpoints that take traffic now and did not before, and the other
// way round.
func comingAndGoing(before, after []discovery.Endpoint) (in, out []string) {
	was, is := discovery.ByAddr(before), discovery.ByAddr(after)
	for _, e := range after {
		if e.State == discovery.Ready && (was[e.Addr].Addr != e.Addr || was[e.Addr].State != discovery.Ready) {
			in = append(in, called(e, ""))
		}
	}
	for _, e := range before {
		now, listed := is[e.Addr]
		switch {
		case e.State != discovery.Ready || listed && now.State == discovery.Ready:
		case listed:
			out = append(out, called(e, whyNotReady(now)))
		default:
			out = append(out, called(e, "not listed any more"))
		}
	}
	return in, out
}

// emptied reports whether the sources leave nothing that serves, and operators added nothing
// that does. What operators took out of service that sources list is not gone.
func (b *backend) emptied() bool {
	return discovery.CountReady(b.guard.Published())+discovery.CountReady(b.wanted()) == 0
}

// whyEmpty says what the sources list of a backend without servers, and since when: since what
// was held before.
func (b *backend) whyEmpty(held guard.Hold, now time.Time) string {
	words := "the source has listed "
	if len(b.feeds) > 1 {
		words = "the sources have listed "
	}
	if n := len(b.guard.Published()); n == 0 {
		words += "nothing"
	} else {
		words += "none that may serve"
	}
	if held.Since.IsZero() {
		return words
	}
	return words + " for " + ago(now, held.Since)
}

// called is an endpoint as people know it, as in "web-1 10.0.0.1:80: critical".
func called(e discovery.Endpoint, why string) string {
	return withWhy(strings.TrimSpace(e.Name+" "+e.Addr.String()), why)
}

// calledEach are these addresses as people know them, by the names that known has.
func calledEach(list []netip.AddrPort, known []discovery.Endpoint) []string {
	byAddr := discovery.ByAddr(known)
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = called(discovery.Endpoint{Addr: a, Name: byAddr[a].Name}, "")
	}
	return words
}

// calledAll is [calledEach] as a list, whole: what may go is told whole.
func calledAll(list []netip.AddrPort, known []discovery.Endpoint) string {
	return strings.Join(calledEach(list, known), ", ")
}
