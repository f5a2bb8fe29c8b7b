package slots

import (
	"context"
	"fmt"
)

// A Conn speaks to one HAProxy. Its methods are called from one goroutine at a
// time. Every error is an [InstanceError], except ctx's own.
type Conn interface {
	// Info asks who answers. It waits as long as ctx lets it.
	Info(ctx context.Context) (Process, error)
	// View reads the servers of the backends, all of them if none is named,
	// and with sessions set their current sessions. It has a deadline of its
	// own.
	View(ctx context.Context, backends []string, sessions bool) (View, error)
	// Apply makes the changes at the process that was seen and reads back what
	// came of them. It stops at another process with [Restarted].
	Apply(ctx context.Context, seen Process, changes []Change) (Outcome, error)
	// Save writes what the servers of a backend should be to where a starting
	// HAProxy reads it. It does nothing where no state file is configured. Save and Sync
	// wait for the disk, and may be called beside the others.
	Save(backend string, servers []Server) error
	// Sync makes what Save wrote survive a power loss.
	Sync() error
	// Resolved returns the backends of asked, which has one server of each, in which
	// HAProxy's own resolvers find the address of that server, as far as that can be
	// found out.
	Resolved(ctx context.Context, asked map[string]Server) (map[string]bool, error)
	// String is the socket, as configured.
	fmt.Stringer
}
