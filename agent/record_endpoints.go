package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// This file records what became of endpoints: which are held, kept or accepted, which came
// into service and which went.

// holdChanged records that something is held, or nothing any more.
func (a *Agent) holdChanged(b *backend) {
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
	if !held {
		a.record(happening{line: "nothing is held any more",
			event: api.Event{Kind: api.EventHoldEnded, Backend: b.Name}})
		return
	}
	gone := strings.Join(addressStrings(h.WouldRemove), " ")
	line := "held: the source lists too few endpoints at once"
	if h.Kind == guard.Unhealthy {
		line = "held: every endpoint that is registered is unhealthy; what served last goes on"
	}
	a.record(happening{level: slog.LevelWarn, line: line,
		attrs: []any{"kind", h.Kind, "would_remove", gone, "ends", until, "id", h.ID, "to_end_it", "slotsync accept " + b.Name + " " + h.ID},
		event: api.Event{Kind: api.EventHoldBegun, Backend: b.Name,
			Text:   fmt.Sprintf("held (%s): %d endpoints would be removed; slotsync accept %s %s has them go", h.Kind, len(h.WouldRemove), b.Name, h.ID),
			Fields: map[string]string{"hold": h.Kind, "id": h.ID, "ends": until, "would_remove": gone}}})
}

// keptChanged records what is kept now and was not, and the other way round. What is kept
// because a source does not answer at all, or has not yet, is said with that.
func (a *Agent) keptChanged(b *backend, before map[netip.AddrPort]sources.Kept) {
	for _, s := range b.keptSets() {
		f := b.feed(s.source)
		fresh := slices.DeleteFunc(slices.Clone(s.addrs), func(x netip.AddrPort) bool { _, was := before[x]; return was })
		if len(fresh) == 0 || f == nil || f.silent() {
			continue
		}
		list, part := strings.Join(addressStrings(fresh), " "), s.source
		if s.part != "" {
			part += ", " + s.part
		}
		a.record(happening{level: slog.LevelWarn, line: "kept: the source does not list these now, and cannot say that they are gone",
			attrs: []any{"source", s.source, "part", s.part, "reason", s.reason, "endpoints", list,
				"id", s.id, "to_end_it", "slotsync accept " + b.Name + " " + s.id},
			event: api.Event{Kind: api.EventKeptBegun, Backend: b.Name, Source: s.source, Fields: map[string]string{"id": s.id, "part": s.part, "reason": s.reason},
				Text: fmt.Sprintf("kept: %s (%s: %s); slotsync accept %s %s has them go", list, part, s.reason, b.Name, s.id)}})
	}
	var over []netip.AddrPort
	for x := range before {
		if _, still := b.kept[x]; !still {
			over = append(over, x)
		}
	}
	if len(over) > 0 {
		slices.SortFunc(over, netip.AddrPort.Compare)
		list := strings.Join(addressStrings(over), " ")
		a.record(happening{line: "not kept any more: listed again, or gone", attrs: []any{"endpoints", list},
			event: api.Event{Kind: api.EventKeptEnded, Backend: b.Name, Text: "not kept any more: " + list}})
	}
}

// accepted records what an operator had go.
func (a *Agent) accepted(b *backend, done api.Accepted, by string) {
	gone := strings.Join(done.Removed, " ")
	a.record(happening{level: slog.LevelWarn, line: "an operator accepted that these go", attrs: []any{"id", done.ID, "removed", gone, "by", by},
		event: api.Event{Kind: api.EventAccepted, Backend: b.Name, Text: "an operator accepted that " + gone + " go", Fields: map[string]string{"id": done.ID, "by": by}}})
}

// addressStrings are addresses as people read them.
func addressStrings(addresses []netip.AddrPort) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a.String()
	}
	return out
}

// maxMembersNamed bounds the endpoints that a line of the log names.
const maxMembersNamed = 10

// membersChanged records which endpoints came into service and which went, by name and with
// the reason, and warns where none is left.
func (a *Agent) membersChanged(b *backend, before []discovery.Endpoint) {
	was, is := discovery.ByAddr(before), discovery.ByAddr(b.guard.Published())
	var in, out []string
	for _, e := range b.guard.Published() {
		if e.State == discovery.Ready && (was[e.Addr].Addr != e.Addr || was[e.Addr].State != discovery.Ready) {
			in = append(in, called(e, ""))
		}
	}
	for _, e := range before {
		now, listed := is[e.Addr]
		switch {
		case e.State != discovery.Ready || listed && now.State == discovery.Ready:
		case listed:
			out = append(out, called(e, cmp.Or(now.Reason, now.State.String())))
		default:
			out = append(out, called(e, "not listed any more"))
		}
	}
	if len(in)+len(out) == 0 {
		return
	}
	about := []any{"in", firstOf(in), "out", firstOf(out), "ready", discovery.CountReady(b.guard.Published())}
	if discovery.CountReady(b.guard.Published()) > 0 || len(b.overrides) > 0 {
		a.record(happening{line: "endpoints changed", attrs: about, event: api.Event{Backend: b.Name}})
		return
	}
	a.record(happening{level: slog.LevelWarn, line: "nothing serves this backend any more", attrs: append(about, "requests_get", "503"),
		event: api.Event{Kind: api.EventEmptied, Backend: b.Name, Text: "nothing serves it any more; out: " + firstOf(out)}})
}

// called is an endpoint as people know it, as in "web-1 10.0.0.1:80: critical".
func called(e discovery.Endpoint, why string) string {
	words := strings.TrimSpace(e.Name + " " + e.Addr.String())
	if why != "" {
		words += ": " + why
	}
	return words
}

// firstOf joins the first of words, and counts the others.
func firstOf(words []string) string {
	if more := len(words) - maxMembersNamed; more > 0 {
		return strings.Join(words[:maxMembersNamed], ", ") + " and " + itoa(more) + " more"
	}
	return strings.Join(words, ", ")
}
