// Package event has the log of what happens: the last events, and those who read on.
package event

import (
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

const (
	// maxKept is how many events can be asked for again.
	maxKept = 1000
	// maxReaders bounds those who are told at a time, maxUnread what one of them may
	// leave unread.
	maxReaders, maxUnread = 64, 256
	// maxText bounds a text of an event, in runes, and MaxSlots the slots
	// that it names.
	maxText, MaxSlots = 500, 50
)

// A Log keeps the last 1000 events and tells them on. Its methods may be called from
// many goroutines, and wait for nobody.
type Log struct {
	mu      sync.Mutex
	kept    []api.Event // oldest first
	last    uint64
	readers map[*Reader]struct{}
}

// New returns an empty list, whose IDs begin at a value that says when.
func New(now time.Time) *Log {
	const perMilli = 1 << 20 // far more than there are events in a millisecond
	begin := uint64(max(now.UnixMilli(), 1)) * perMilli
	return &Log{last: begin, readers: map[*Reader]struct{}{}}
}

// A Reader is told of events.
type Reader struct {
	// C is closed when the reader has left 256 events unread, and by Close.
	C    <-chan api.Event
	c    chan api.Event
	list *Log
}

// Add gives e an ID and tells it to everybody. What cannot be printed in its texts is
// replaced. e.At is now if it is zero.
func (l *Log) Add(e api.Event) {
	e = printable(e)
	if e.At.IsZero() {
		e.At = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.ID = l.last
	if len(l.kept) == maxKept {
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
// is one of kind [api.EventGap]. The reader has to be closed. It fails with
// [api.ErrManyReaders] if there are 64.
func (l *Log) Read(after uint64) ([]api.Event, *Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= maxReaders {
		return nil, nil, api.ErrManyReaders
	}
	c := make(chan api.Event, maxUnread)
	r := &Reader{C: c, c: c, list: l}
	l.readers[r] = struct{}{}
	if after == 0 {
		return nil, r, nil
	}
	return l.since(after), r, nil
}

// since returns what is kept after that ID, and says if something is missing.
func (l *Log) since(after uint64) []api.Event {
	before := l.last - uint64(len(l.kept)) // the ID before the oldest
	if after < before || after > l.last {
		gap := api.Event{ID: before, At: time.Now(), Kind: api.EventGap, Text: "events are missing here: ask for the status"}
		return append([]api.Event{gap}, l.kept...)
	}
	return slices.Clone(l.kept[after-before:])
}

// drop ends r. mu is held.
func (l *Log) drop(r *Reader) {
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
func printable(e api.Event) api.Event {
	for _, text := range []*string{&e.Backend, &e.Instance, &e.Slot, &e.Source, &e.Text} {
		*text = discovery.Printable(*text, maxText)
	}
	if len(e.Slots) > MaxSlots {
		e.Slots = e.Slots[:MaxSlots]
	}
	e.Slots = slices.Clone(e.Slots)
	for i, s := range e.Slots {
		e.Slots[i] = discovery.Printable(s, maxText)
	}
	fields := map[string]string{}
	for name, value := range e.Fields {
		if value != "" {
			fields[name] = discovery.Printable(value, maxText)
		}
	}
	if e.Fields = fields; len(fields) == 0 {
		e.Fields = nil
	}
	return e
}
