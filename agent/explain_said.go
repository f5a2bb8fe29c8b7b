package agent

import "github.com/slotsync/slotsync/slots"

const (
	// keepSaid is how many commands are kept of each slot: one change has three at
	// most, and a server that is added four.
	keepSaid = 4
	// maxTold bounds the slots of an instance of which any are kept.
	maxTold = 100_000
)

// A transcript is what was said last to each slot of an instance, oldest first.
type transcript map[toldSlot][]slots.Exchange

// toldSlot names a slot; proxy is HAProxy's backend.
type toldSlot struct{ proxy, slot string }

// add takes what was said, in its order.
func (t transcript) add(said []slots.Exchange) {
	for _, e := range said {
		key := toldSlot{e.Backend, e.Slot}
		before, known := t[key]
		if !known && len(t) >= maxTold {
			continue
		}
		if len(before) == keepSaid {
			before = append(before[:0], before[1:]...)
		}
		t[key] = append(before, e)
	}
}

// copied returns said as it may be kept.
func copied(said []slots.Exchange) []slots.Exchange {
	if len(said) == 0 {
		return nil
	}
	out := make([]slots.Exchange, len(said))
	for i, e := range said {
		out[i] = e.Copy()
	}
	return out
}
