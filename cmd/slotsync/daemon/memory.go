package daemon

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// leanGC is the GOGC that is used if neither GOGC nor GOMEMLIMIT is set: the agent makes
// little garbage, so that half as much room for it costs no time worth speaking of.
const leanGC = 50

// tuneGC has the process get by with less memory, unless the environment says what
// it may have.
func tuneGC(env config.Environment) {
	if env["GOGC"] == "" && env["GOMEMLIMIT"] == "" {
		debug.SetGCPercent(leanGC)
	}
}

// givePace is how often it is looked whether the start is over, giveMost how long.
const givePace, giveMost = 2 * time.Second, time.Minute

// giveBack returns to the system, once everything is in step for the first time,
// the memory that only the start needed.
func (s *service) giveBack(ctx context.Context) error {
	ticker := time.NewTicker(givePace)
	defer ticker.Stop()
	for begun := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if time.Since(begun) > giveMost || inStep(s.agent.Status()) {
			debug.FreeOSMemory()
			return nil
		}
	}
}

// inStep reports whether nothing is left to be done for now.
func inStep(s api.Status) bool {
	for _, in := range s.Instances {
		if !in.InSync {
			return false
		}
	}
	return len(s.NotReady) == 0
}
