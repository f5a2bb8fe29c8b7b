package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
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

// An identity is who answered on the socket of an instance.
type identity struct {
	instance string
	process  slots.Process
}

// identify asks every instance who it is, each until it says so or ctx is done, and
// sends what they say. Each is asked by a client of its own, since a HAProxy
// that hangs keeps one waiting for as long as it hangs.
func identify(ctx context.Context, cfg *config.Config) <-chan identity {
	answers := make(chan identity, len(cfg.Instances))
	for _, in := range cfg.Instances {
		client, err := haproxy.New(haproxy.Options{Socket: in.Socket, Timeout: cfg.Timeout})
		if err != nil {
			continue // wire has said so
		}
		go func() {
			for ctx.Err() == nil {
				if p, err := client.Info(ctx); err == nil {
					answers <- identity{in.Name, p}
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}()
	}
	return answers
}

// checkDistinct waits up to limit for all instances to answer, and fails if two of
// them are one process.
func checkDistinct(ctx context.Context, cfg *config.Config, limit time.Duration) error {
	if len(cfg.Instances) < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(limit, cfg.Timeout))
	defer cancel()
	answers := identify(ctx, cfg)
	var seen []identity
	for range cfg.Instances {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			if i := slices.IndexFunc(seen, func(other identity) bool { return other.process.Same(a.process) }); i >= 0 {
				return &config.UsageError{Err: config.SameProcess(seen[i].instance, a.instance, a.process)}
			}
			seen = append(seen, a)
		}
	}
	return nil
}
