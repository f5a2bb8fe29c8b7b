package reconciler

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// A Report is what came of having to do with the instance, and what is known of it.
type Report struct {
	At        time.Time
	Err       error // the instance could not be reached, or not be believed
	Process   slots.Process
	Restarted bool   // another process answers than before
	Compared  bool   // slots were read in this round
	Applied   uint64 // the generation up to which everything was read back
	InSync    bool
	// StateFileFails: a server-state file could not be written last.
	StateFileFails bool
	Backends       map[string]BackendReport // by our name
	Took           time.Duration            // of a round that wrote; else 0

	// What follows is since the report before this one.
	Commands  []slots.Count
	Changes   Counts            // by backend, of which
	Drift     Counts            // these put right what nobody asked to be otherwise
	Moved     map[string][]Move // which, by backend, up to 100 of each
	Events    []Event
	Exchanges []slots.Exchange
}

// A BackendReport is what is known about one backend of an instance.
type BackendReport struct {
	// Proxy and Prefix say of which slots. PrefixIsFound: that prefix would be found by
	// itself.
	Proxy, Prefix string
	PrefixIsFound bool
	// Own are the slots, nil if none were seen; Usable those that can be filled, Seen
	// when they were read.
	Own, Usable []slots.Server
	Seen        time.Time
	// Missing: the instance has no such backend. Problem says in words what keeps it from
	// being filled otherwise.
	Missing bool
	Problem string
	// Paused: an operator has paused the writing.
	Paused   bool
	Applied  uint64 // the generation up to which it was read back
	Waiting  int    // changes that wait for the end of sessions
	Overflow int    // endpoints that have no slot here
	// By slot: what somebody took out of service, what HAProxy refused last, and until
	// when it is not written to since somebody else keeps changing it.
	Externals map[int]External
	Refused   map[int]slots.Refusal
	// Undecided are slots that were in service last and are not, of which it is not decided
	// yet whether somebody took them out.
	Undecided map[int]netip.AddrPort
	Conflicts map[int]time.Time
	// AddUnsupported is why no server can be added; "" if one can, as far as is known.
	AddUnsupported string
	// Unloaded: the process came up without what the state file says.
	Unloaded bool
}

// An External is a slot that somebody took out of service behind the agent's back.
type External struct {
	Addr  netip.AddrPort `json:"addr"`
	Class slots.Class    `json:"class"`
	Since time.Time      `json:"since"`
	// Seen: it was out of service in the process that runs now. Only then does
	// a ready slot mean that somebody set it ready again.
	Seen bool `json:"seen,omitempty"`
}

// An Event is something that happened at an instance and that people want to read.
type Event struct {
	Kind          EventKind
	Text          string
	Backend, Slot string
	Detail        string
	Warn          bool
}

// An EventKind says what an [Event] is about, as far as programs want to know.
type EventKind uint8

// Kinds of [Event].
const (
	Noted           EventKind = iota // none of the others
	SlotTaken                        // somebody took a slot out of service
	SlotGivenBack                    // somebody gave it back
	StateFileFailed                  // a server-state file could not be written
)

// Counts counts changes by backend and kind.
type Counts map[string]KindCounts

// KindCounts counts changes by kind.
type KindCounts map[slots.Kind]int

func (c *Counts) add(backend string, k slots.Kind) {
	if *c == nil {
		*c = Counts{}
	}
	if (*c)[backend] == nil {
		(*c)[backend] = KindCounts{}
	}
	(*c)[backend][k]++
}

// String returns the counts as in "add=1 set=2".
func (k KindCounts) String() string {
	words := make([]string, 0, len(k))
	for _, kind := range slices.Sorted(maps.Keys(k)) {
		words = append(words, string(kind)+"="+strconv.Itoa(k[kind]))
	}
	return strings.Join(words, " ")
}

// A Move is a change that was made of one slot.
type Move struct {
	Slot   string
	Kind   slots.Kind
	Addr   netip.AddrPort // that the slot has after it
	Weight int            // that was set; 0 for none
	Drift  bool           // it put right what nobody asked to be otherwise
}

// maxMoves bounds the changes that a report names of each backend.
const maxMoves = 100

// moves are changes that were made, by backend.
type moves map[string][]Move

func (m *moves) add(backend string, c slots.Change, drift bool) {
	if *m == nil {
		*m = moves{}
	}
	if list := (*m)[backend]; len(list) < maxMoves {
		addr := c.Addr
		if !addr.IsValid() {
			addr = c.From.Addr
		}
		(*m)[backend] = append(list, Move{c.Slot, c.Kind, addr, c.Weight, drift})
	}
}

func (r *Reconciler) event(e Event) { r.events = append(r.events, e) }

// send hands report over, with what is known about every backend.
func (r *Reconciler) send(report Report) {
	if r.met {
		report.Process = r.process
	}
	report.Backends = make(map[string]BackendReport, len(r.backends))
	doubt := r.uncertain || len(r.recheckAt) > 0
	report.Applied, report.InSync = r.spec.Generation, r.up && !doubt
	report.StateFileFails = slices.ContainsFunc(r.proxies(r.names()), func(proxy string) bool { return r.unsaved[proxy] || r.diskSlow })
	for name, b := range r.backends {
		switch {
		case doubt: // it stays what it was
		case b.settled():
			b.applied = r.spec.Generation
		default:
			b.applied = cmp.Or(b.since, b.spec.Generation) - 1
		}
		report.Applied = min(report.Applied, b.applied)
		report.InSync = report.InSync && (b.settled() || b.isPaused()) // a pause has a state of its own
		report.Backends[name] = BackendReport{
			Proxy: b.spec.Proxy, Prefix: b.prefix, PrefixIsFound: b.prefixIsFound(),
			Own: b.own, Usable: b.usable(report.At), Seen: b.seen, Missing: b.missing, Paused: b.isPaused(), Applied: b.applied, Problem: b.problem, Waiting: b.waiting,
			Overflow:  len(slots.Missing(b.own, b.effective())),
			Externals: maps.Clone(b.externals), Refused: maps.Clone(b.refused), Conflicts: b.conflictsUntil(report.At),
			AddUnsupported: b.addUnsupported, Unloaded: b.unloaded, Undecided: b.undecided(),
		}
	}
	report.Events, report.Commands, report.Changes, report.Drift = r.events, r.commands, r.changes, r.drift
	report.Restarted, report.Moved, report.Exchanges = r.restarted, r.moved, copies(r.exchanges)
	r.events, r.commands, r.changes, r.drift, r.moved, r.restarted, r.exchanges = nil, nil, nil, nil, nil, false, nil
	r.options.Report(report)
}

// copies returns exchanges as they may be kept.
func copies(exchanges []slots.Exchange) []slots.Exchange {
	if len(exchanges) == 0 {
		return nil
	}
	out := make([]slots.Exchange, len(exchanges))
	for i, e := range exchanges {
		out[i] = e.Copy()
	}
	return out
}
