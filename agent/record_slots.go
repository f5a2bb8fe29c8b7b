package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file puts changes of slots into words.

// maxEnumerated bounds the slots and endpoints that a line of the log and a text of an event name.
const maxEnumerated = 10

// moveWords says what became of each slot, as in "web1 10.0.0.1:80 out: critical"; counts are of
// all the changes that were made. b may be nil, where it is no longer configured.
func (b *backend) moveWords(made []reconciler.Move, counts reconciler.KindCounts) string {
	all := 0
	for _, n := range counts {
		all += n
	}
	words := make([]string, 0, maxEnumerated)
	for _, m := range made[:min(len(made), maxEnumerated)] {
		words = append(words, b.moved(m))
	}
	return enumerate(words, all)
}

// moved says what became of one slot.
func (b *backend) moved(m reconciler.Move) string {
	at := m.Slot + " " + m.Addr.String()
	switch m.Kind {
	case slots.Fill, slots.Enable, slots.Add:
		return at + " in"
	case slots.Empty:
		return withWhy(at+" out", b.whyOut(m.Addr))
	case slots.StartDrain:
		return withWhy(at+" drains", b.whyOut(m.Addr))
	case slots.Weigh:
		return at + " weight " + strconv.Itoa(m.Weight)
	case slots.Park:
		return at + " set, out of service"
	case slots.Remove:
		return m.Slot + " removed"
	case slots.Shut:
		return at + " sessions ended"
	}
	return at + " " + string(m.Kind)
}

func withWhy(words, why string) string {
	if why == "" {
		return words
	}
	return words + ": " + why
}

// whyOut says why an endpoint gets no new sessions; "" if it is to get some, which its slot
// may not be any more.
func (b *backend) whyOut(addr netip.AddrPort) string {
	if b == nil {
		return "the backend is no longer configured"
	}
	if o := b.overrides.Find(b.Name, addr, api.OverrideState); o != nil {
		return "an operator asked for " + o.Words()
	}
	i := slices.IndexFunc(b.guard.Published(), func(e discovery.Endpoint) bool { return e.Addr == addr })
	if i < 0 {
		if _, added := b.added[addr]; added {
			return "an operator removed it"
		}
		return "not listed any more"
	}
	return whyNotReady(b.guard.Published()[i])
}

// whyNotReady says why a listed endpoint gets no new sessions; "" if it gets some.
func whyNotReady(e discovery.Endpoint) string {
	if e.State == discovery.Ready {
		return ""
	}
	return cmp.Or(e.Reason, e.State.String())
}

// maxSlotNames bounds the slots that an event names, as api.Event says.
const maxSlotNames = 50

// slotNames are the slots of moves, each once, the first of them.
func slotNames(made []reconciler.Move) []string {
	var out []string
	for _, m := range made {
		if len(out) < maxSlotNames && !slices.Contains(out, m.Slot) {
			out = append(out, m.Slot)
		}
	}
	return out
}

// enumerate joins the first of words, which are all in number, and counts the others; without words
// it is the number.
func enumerate(words []string, all int) string {
	words = words[:min(len(words), maxEnumerated)]
	text := strings.Join(words, ", ")
	switch more := all - len(words); {
	case more <= 0:
		return text
	case text == "":
		return strconv.Itoa(all)
	default:
		return text + " and " + strconv.Itoa(more) + " more"
	}
}
