package daemon

import (
	"context"
	"slices"
	"sync"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
)

// Claims say which process answers for which instance, for as long as the agent runs:
// two sockets of one HAProxy may both be configured, and answer long after the start.
type claims struct {
	mu    sync.Mutex
	names []string // of the configured instances, in their order
	by    map[string]slots.Process
}

// keep makes names the instances that are configured.
func (c *claims) keep(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = names
	for name := range c.by {
		if !slices.Contains(names, name) {
			delete(c.by, name)
		}
	}
}

// take notes that p answers for an instance. It fails if p does for an earlier one, too:
// that one is served.
func (c *claims) take(name string, p slots.Process) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.names, name)
	if at < 0 {
		return nil // its worker is about to end
	}
	if c.by == nil {
		c.by = map[string]slots.Process{}
	}
	c.by[name] = p
	for _, earlier := range c.names[:at] {
		if q, ok := c.by[earlier]; ok && q.Same(p) {
			return &slots.InstanceError{Fault: slots.Denied, Err: config.SameProcess(earlier, name, p)}
		}
	}
	return nil
}

// drop forgets what answered for an instance that answers no longer.
func (c *claims) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, name)
}

// A claimed connection is refused while its process answers for another instance.
type claimed struct {
	slots.Conn
	name   string
	claims *claims
}

// Info implements [slots.Conn].
func (c claimed) Info(ctx context.Context) (slots.Process, error) {
	p, err := c.Conn.Info(ctx)
	return p, c.judge(p, err)
}

// View implements [slots.Conn].
func (c claimed) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	v, err := c.Conn.View(ctx, backends, sessions)
	return v, c.judge(v.Process, err)
}

// Apply implements [slots.Conn].
func (c claimed) Apply(ctx context.Context, seen slots.Process, changes []slots.Change) (slots.Outcome, error) {
	if err := c.claims.take(c.name, seen); err != nil {
		return slots.Outcome{}, err
	}
	return c.Conn.Apply(ctx, seen, changes)
}

func (c claimed) judge(p slots.Process, err error) error {
	if err != nil {
		c.claims.drop(c.name)
		return err
	}
	return c.claims.take(c.name, p)
}
