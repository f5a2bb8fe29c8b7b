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

// asProgram returns a context that ends with the HAProxy that has started this process as
// one of its programs (section "program"), if one has: who is left over would keep the
// lock from the slotsync of the next one.
func asProgram(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err == nil && strings.TrimSpace(string(comm)) == "haproxy" {
		go outlive(ctx, parent, cancel)
	}
	return ctx, func() { cancel(nil) }
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
