package agent

import (
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
)

// TestHoldKinds: what the guard calls a hold is what the API calls it.
func TestHoldKinds(t *testing.T) {
	for ours, theirs := range map[string]string{
		guard.Empty: api.HoldEmpty, guard.Removal: api.HoldRemoval, guard.Unhealthy: api.HoldUnhealthy,
	} {
		if ours != theirs {
			t.Errorf("%q is %q in the API", ours, theirs)
		}
	}
}
