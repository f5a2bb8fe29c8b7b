package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// parentPoll is how often a program of HAProxy's looks whether that is still there.
const parentPoll = 500 * time.Millisecond

var errNoParent = errors.New("the HAProxy that started this process is gone")

// programLockWait is how long a program of HAProxy's waits for the lock if nobody says how long:
// with a reload the next one starts before HAProxy ends the one from before.
const programLockWait = 30 * time.Second

// asProgram returns a context that ends with the HAProxy that has started this process as
// one of its programs (section "program"), if one has: who is left over would keep the
// lock from the slotsync of the next one.
func asProgram(ctx context.Context) (of context.Context, program bool, done context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	program = err == nil && strings.TrimSpace(string(comm)) == "haproxy"
	if program {
		go outlive(ctx, parent, cancel)
	}
	return ctx, program, func() { cancel(nil) }
}

// outlive ends the context when this process has another parent.
func outlive(ctx context.Context, parent int, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(parentPoll)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel(errNoParent)
}
