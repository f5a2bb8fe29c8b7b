package api

import (
	"fmt"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// maxUnloaded is how many backends are named that came up without their state file.
const maxUnloaded = 5

// Deviations says, a few words each, what of an instance is not as the table wants it, besides
// whether it answers and is in sync.
func (in InstanceStatus) Deviations() []string {
	var words []string
	for _, n := range []struct {
		n    int
		what string
	}{{in.Waiting, "waiting for sessions"}, {in.External, "taken out by somebody else"}, {in.Overflow, "without a slot"}} {
		if n.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n.n, n.what))
		}
	}
	if n := len(in.Unloaded); n > 0 {
		names := strings.Join(in.Unloaded[:min(n, maxUnloaded)], ", ")
		if n > maxUnloaded {
			names += fmt.Sprintf(", %d more", n-maxUnloaded)
		}
		words = append(words, "came up without its state file for "+discovery.Printable(names, 300))
	}
	return words
}

// KeptWords says how many endpoints of a source are kept that it does not list now; "" for none.
func (s SourceStatus) KeptWords() string {
	if s.Kept == 0 {
		return ""
	}
	return fmt.Sprintf("%d kept", s.Kept)
}
