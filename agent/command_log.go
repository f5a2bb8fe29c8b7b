package agent

import "github.com/slotsync/slotsync/slots"

const (
	// keepCommands is how many commands are kept of each slot: one change has three at
	// most, and a server that is added four.
	keepCommands = 4
	// maxLogged bounds the slots of an instance of which any are kept.
	maxLogged = 100_000
)

// A commandLog is what was said last to each slot of an instance, oldest first, with the
// replies: what explain shows.
type commandLog map[slotName][]slots.Exchange

// A slotName names a slot; proxy is HAProxy's backend.
type slotName struct{ proxy, slot string }

// add takes exchanges, in their order.
func (t commandLog) add(exchanges []slots.Exchange) {
	for _, e := range exchanges {
		key := slotName{e.Backend, e.Slot}
		before, known := t[key]
		if !known && len(t) >= maxLogged {
			continue
		}
		if len(before) == keepCommands {
			before = append(before[:0], before[1:]...)
		}
		t[key] = append(before, e)
	}
}
