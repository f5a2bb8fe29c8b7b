package slots

import (
	"net/netip"

	"github.com/slotsync/slotsync/discovery"
)

// MaxWeight is the largest weight that HAProxy knows (configuration manual 5.2,
// "weight").
const MaxWeight = 256

// Scale returns the weights of eps as HAProxy gets them: 1..256, or 0 for the
// weight of the template. All registered endpoints count, whatever their state,
// so that a flapping one does not change the others.
//
//	all equal, or none named   0 each
//	some named, some not       an unnamed one counts as 1
//	all up to 256              as they are
//	some beyond                divided by the smallest power of two that brings
//	                           the largest within 256; rounded, at least 1
//
// An endpoint in drain that names no weight has weight 0 at its source; it is
// not compared with the others.
func Scale(eps []discovery.Endpoint) map[netip.AddrPort]int {
	scaled := make(map[netip.AddrPort]int, len(eps))
	least, most := span(eps)
	divisor := uint64(1)
	for rounded(most, divisor) > MaxWeight {
		divisor *= 2
	}
	for _, e := range eps {
		scaled[e.Addr] = 0
		if least != most {
			scaled[e.Addr] = int(rounded(weight(e), divisor))
		}
	}
	return scaled
}

func span(eps []discovery.Endpoint) (least, most uint64) {
	for _, e := range eps {
		if e.Weight <= 0 && e.State == discovery.Drain {
			continue
		}
		if least == 0 {
			least = weight(e)
		}
		least, most = min(least, weight(e)), max(most, weight(e))
	}
	return least, most
}

// weight returns the weight of e, at least 1.
func weight(e discovery.Endpoint) uint64 { return uint64(max(e.Weight, 1)) }

// rounded returns w divided by d, rounded, at least 1. Both are below 1<<63.
func rounded(w, d uint64) uint64 { return max(1, (w+d/2)/d) }
