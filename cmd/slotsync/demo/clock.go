package demo

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// clock measures how long changes take to arrive, one at a time.
type clock struct {
	mu       sync.Mutex
	want     []netip.AddrPort // sorted; nil: nothing is measured
	changed  time.Time
	answered time.Time
	done     map[string]bool // by HAProxy

	served, agent []time.Duration
}

// Changing says that the source is about to name want.
func (c *clock) Changing(want []netip.AddrPort, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want, c.changed, c.answered, c.done = sortedAddrs(want), now, time.Time{}, map[string]bool{}
}

// Answered says that slotsync has been told addrs.
func (c *clock) Answered(addrs []netip.AddrPort, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want != nil && c.answered.IsZero() && slices.Equal(c.want, sortedAddrs(addrs)) {
		c.answered = now
	}
}

// Look notes which HAProxies have arrived by now.
func (c *clock) Look(status api.Status, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want == nil || c.answered.IsZero() {
		return
	}
	for _, instance := range status.Instances {
		if c.done[instance.Name] || !slices.Equal(c.want, servedBy(status, instance.Name)) {
			continue
		}
		c.done[instance.Name] = true
		c.served = append(c.served, now.Sub(c.changed))
		c.agent = append(c.agent, now.Sub(c.answered))
	}
}

// Measured returns one value for each change and HAProxy: from the change of
// the source, and from its answer.
func (c *clock) Measured() (served, agent []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.served), slices.Clone(c.agent)
}

// servedBy returns the addresses that take traffic at one HAProxy, sorted, as
// they were read back from it.
func servedBy(status api.Status, instance string) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, backend := range status.Backends {
		for _, slot := range backend.Slots {
			for _, live := range slot.Instances {
				if live.Instance != instance || live.State != slots.Ready {
					continue
				}
				if a, err := netip.ParseAddrPort(live.Address); err == nil {
					addrs = append(addrs, a)
				}
			}
		}
	}
	return sortedAddrs(addrs)
}

// everywhere reports whether every HAProxy is up, in sync, and sends traffic to
// want and nowhere else.
func everywhere(status api.Status, want []netip.AddrPort) bool {
	want = sortedAddrs(want)
	for _, instance := range status.Instances {
		if !instance.Up || !instance.InSync || !slices.Equal(want, servedBy(status, instance.Name)) {
			return false
		}
	}
	return len(status.Instances) > 0
}

func sortedAddrs(addrs []netip.AddrPort) []netip.AddrPort {
	return slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
}

// A clockedSource tells a clock what a source answers.
type clockedSource struct {
	discovery.Source
	clock *clock
}

// Next is the source's own.
func (s clockedSource) Next(ctx context.Context) (discovery.Reading, error) {
	r, err := s.Source.Next(ctx)
	if err == nil {
		eps := r.Endpoints()
		addrs := make([]netip.AddrPort, 0, len(eps))
		for _, e := range eps {
			addrs = append(addrs, e.Addr)
		}
		s.clock.Answered(addrs, time.Now())
	}
	return r, err
}
