package agent

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// keptEvents is how many events can be asked for again.
	keptEvents = 1000
	// maxReaders bounds those who are told at a time, maxUnread what one of them may
	// leave unread.
	maxReaders, maxUnread = 64, 256
	// maxEventText bounds a text of an event, in runes, and maxEventSlots the slots
	// that it names.
	maxEventText, maxEventSlots = 500, 50
)

// ErrManyReaders says that no more can be told of events at a time.
var ErrManyReaders = errors.New("too many read events already")

// What an [Event] is about.
const (
	// EventGap comes first to a reader who asked for events that are not kept any
	// more, or are of another process.
	EventGap = "gap"

	EventSourceFailing   = "source_failing"
	EventSourceAnswering = "source_answering"
	EventFailover        = "failover"     // other sources stand in for the primary one
	EventFailback        = "failback"     // and do so no more
	EventHoldBegun       = "hold_begun"   // the guard keeps an update back, or a takeover waits
	EventHoldEnded       = "hold_ended"   //
	EventKeptBegun       = "kept_begun"   // endpoints stay that no source lists now
	EventKeptEnded       = "kept_ended"   //
	EventAccepted        = "accepted"     // an operator had something go
	EventEmptied         = "emptied"      // the sources leave nothing that serves
	EventOverflow        = "overflow"     // the endpoints without a slot are more, or fewer
	EventOverflowEnded   = "overflow_end" // none is left

	EventInstanceUp        = "instance_up"
	EventInstanceDown      = "instance_down"
	EventInstanceRestarted = "instance_restarted" // a new process answers
	EventInstanceBehind    = "instance_behind"    // not in step, for longer than a moment
	EventInstanceInStep    = "instance_in_step"
	EventSlotsChanged      = "slots_changed"  // by the agent
	EventDrift             = "drift"          // of those changes, what nobody asked to be otherwise
	EventExternalTaken     = "external_taken" // somebody else took a slot out of service
	EventExternalGiven     = "external_given" // and gave it back
	EventNote              = "note"           // something else at an instance

	EventOverrideSet   = "override_set"
	EventOverrideEnded = "override_ended" // by somebody
	EventOverrideOver  = "override_over"  // by itself
	EventPaused        = "paused"
	EventResumed       = "resumed"
	EventPauseOver     = "pause_over" // by itself
	EventReloadBegun   = "reload_begun"
	EventReloadEnded   = "reload_ended"
	EventReloadFailed  = "reload_failed"
)

// EventKinds lists what [Event.Kind] can be.
func EventKinds() []string {
	return []string{
		EventGap, EventSourceFailing, EventSourceAnswering, EventFailover, EventFailback, EventHoldBegun, EventHoldEnded,
		EventKeptBegun, EventKeptEnded, EventAccepted, EventEmptied,
		EventOverflow, EventOverflowEnded, EventInstanceUp, EventInstanceDown, EventInstanceRestarted, EventInstanceBehind,
		EventInstanceInStep, EventSlotsChanged, EventDrift, EventExternalTaken, EventExternalGiven, EventNote, EventOverrideSet,
		EventOverrideEnded, EventOverrideOver, EventPaused, EventResumed, EventPauseOver, EventReloadBegun, EventReloadEnded,
		EventReloadFailed,
	}
}

// An Event is one change of what the agent knows or does.
type Event struct {
	// ID grows with each event of a process, and begins at another value in each.
	// As JSON it is a text: it has more bits than a number there.
	ID   uint64    `json:"id,string"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // one of [EventKinds]
	// What it is about, where it is about that. Backend is ours.
	Backend  string `json:"backend,omitempty"`
	Instance string `json:"instance,omitempty"`
	Slot     string `json:"slot,omitempty"`
	Source   string `json:"source,omitempty"`
	// Text says it in words.
	Text string `json:"text"`
	// Changes counts changes of slots by kind, and Slots are those slots, the first
	// 50 of them.
	Changes map[string]int `json:"changes,omitempty"`
	Slots   []string       `json:"slots,omitempty"`
	// Fields say the rest, by name.
	Fields map[string]string `json:"fields,omitempty"`
}

// Events keeps the last 1000 events and tells them on. Its methods may be called from
// many goroutines, and wait for nobody.
type Events struct {
	mu      sync.Mutex
	kept    []Event // oldest first
	last    uint64
	readers map[*Reader]struct{}
}

// NewEvents returns an empty list, whose IDs begin at a value that says when.
func NewEvents(now time.Time) *Events {
	const perMilli = 1 << 20 // far more than there are events in a millisecond
	begin := uint64(max(now.UnixMilli(), 1)) * perMilli
	return &Events{last: begin, readers: map[*Reader]struct{}{}}
}

// A Reader is told of events.
type Reader struct {
	// C is closed when the reader has left 256 events unread, and by Close.
	C    <-chan Event
	c    chan Event
	list *Events
}

// Add gives e an ID and tells it to everybody. What cannot be printed in its texts is
// replaced. e.At is now if it is zero.
func (l *Events) Add(e Event) {
	e = e.printable()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.ID = l.last
	if len(l.kept) == keptEvents {
		l.kept = slices.Delete(l.kept, 0, 1)
	}
	l.kept = append(l.kept, e)
	for r := range l.readers {
		select {
		case r.c <- e:
		default:
			l.drop(r)
		}
	}
}

// Read returns the events after that ID which are kept, and a reader for those that
// follow. 0 is for those that follow alone. If some after it are not kept, the first
// is one of kind [EventGap]. The reader has to be closed. It fails with
// [ErrManyReaders] if there are 64.
func (l *Events) Read(after uint64) ([]Event, *Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= maxReaders {
		return nil, nil, ErrManyReaders
	}
	c := make(chan Event, maxUnread)
	r := &Reader{C: c, c: c, list: l}
	l.readers[r] = struct{}{}
	if after == 0 {
		return nil, r, nil
	}
	return l.since(after), r, nil
}

// since returns what is kept after that ID, and says if something is missing.
func (l *Events) since(after uint64) []Event {
	before := l.last - uint64(len(l.kept)) // the ID before the oldest
	if after < before || after > l.last {
		gap := Event{ID: before, At: time.Now(), Kind: EventGap, Text: "events are missing here: ask for the status"}
		return append([]Event{gap}, l.kept...)
	}
	return slices.Clone(l.kept[after-before:])
}

// drop ends r. mu is held.
func (l *Events) drop(r *Reader) {
	if _, ok := l.readers[r]; ok {
		delete(l.readers, r)
		close(r.c)
	}
}

// Close ends the reading. It may be called more than once.
func (r *Reader) Close() {
	r.list.mu.Lock()
	defer r.list.mu.Unlock()
	r.list.drop(r)
}

// printable returns e with texts that can be shown.
func (e Event) printable() Event {
	for _, text := range []*string{&e.Backend, &e.Instance, &e.Slot, &e.Source, &e.Text} {
		*text = discovery.Printable(*text, maxEventText)
	}
	if len(e.Slots) > maxEventSlots {
		e.Slots = e.Slots[:maxEventSlots]
	}
	e.Slots = slices.Clone(e.Slots)
	for i, s := range e.Slots {
		e.Slots[i] = discovery.Printable(s, maxEventText)
	}
	fields := map[string]string{}
	for name, value := range e.Fields {
		if value != "" {
			fields[name] = discovery.Printable(value, maxEventText)
		}
	}
	if e.Fields = fields; len(fields) == 0 {
		e.Fields = nil
	}
	return e
}
