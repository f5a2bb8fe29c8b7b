package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reloaded says whether the configuration that was just read is in force; also
// of the first one. Until then it counts as failed.
func (m *Metrics) Reloaded(ok bool) { m.reloaded.Set(number(ok)) }

// StateWriteFailed counts a write of the state directory, or of a server-state
// file, that failed.
func (m *Metrics) StateWriteFailed() { m.stateWrites.Inc() }

// SourceAnswered says that a source answered at a time, and how many endpoints
// it has that are ready, drain, down or rejected; what byState lacks is 0.
func (m *Metrics) SourceAnswered(source, proxy string, at time.Time, byState map[string]int) {
	m.pair(source, proxy, func() {
		m.sourceUp.WithLabelValues(source, proxy).Set(1)
		m.sourceSuccess.WithLabelValues(source, proxy).Set(float64(at.UnixMilli()) / 1000)
		for _, state := range endpointStates() {
			m.sourceEndpoints.WithLabelValues(source, proxy, state).Set(float64(byState[state]))
		}
	})
}

// SourceFailed counts an error of a source by its class. The endpoints of its
// last answer stay.
func (m *Metrics) SourceFailed(source, proxy, class string) {
	m.pair(source, proxy, func() {
		m.sourceUp.WithLabelValues(source, proxy).Set(0)
		m.sourceErrors.WithLabelValues(source, proxy, class).Inc()
	})
}

// Rejected counts n entries of a source's answer that are no endpoints.
func (m *Metrics) Rejected(source, proxy, reason string, n int) {
	m.pair(source, proxy, func() { add(m.rejected.WithLabelValues(source, proxy, reason), n) })
}

// Kept says how many endpoints of a source stay although it does not list them now.
func (m *Metrics) Kept(source, proxy string, n int) {
	m.pair(source, proxy, func() { m.kept.WithLabelValues(source, proxy).Set(float64(n)) })
}

// Held says whether the guard holds something of a backend; kind is empty,
// removal, takeover or unhealthy.
func (m *Metrics) Held(proxy, kind string, on bool) {
	m.proxy(proxy, func() { m.held.WithLabelValues(proxy, kind).Set(number(on)) })
}

// Overflow says for how many endpoints of a backend no slot is left.
func (m *Metrics) Overflow(proxy string, n int) {
	m.proxy(proxy, func() { m.overflow.WithLabelValues(proxy).Set(float64(n)) })
}

// Paused says whether nothing is written to the slots of a backend.
func (m *Metrics) Paused(proxy string, on bool) {
	m.proxy(proxy, func() { m.paused.WithLabelValues(proxy).Set(number(on)) })
}

// Overridden says of how many endpoints of a backend operators asked something, by
// one of [Lists.Overrides].
func (m *Metrics) Overridden(proxy, kind string, n int) {
	m.proxy(proxy, func() { m.overrides.WithLabelValues(proxy, kind).Set(float64(n)) })
}

// ReloadNeeded says whether a backend lacks slots that only a reload can give.
func (m *Metrics) ReloadNeeded(proxy string, on bool) {
	m.proxy(proxy, func() { m.needed.WithLabelValues(proxy).Set(number(on)) })
}

// HAProxyReloaded counts one reload of an instance. reason is one of
// [ReloadReasons] and result one of [ReloadResults].
func (m *Metrics) HAProxyReloaded(haproxy, reason, result string) {
	m.instance(haproxy, func() { m.reloads.WithLabelValues(haproxy, reason, result).Inc() })
}

// ReloadReasons are why HAProxy is reloaded: slots ran out, or somebody asked.
func ReloadReasons() []string { return []string{"overflow", "request"} }

// ReloadResults are what may come of it.
func ReloadResults() []string { return []string{"ok", "failed"} }

// Slots says how many slots of a backend are free, ready, drain, maint, external
// or takeover on an instance; what byState lacks is 0.
func (m *Metrics) Slots(haproxy, proxy string, byState map[string]int) {
	m.cell(haproxy, proxy, func() {
		for _, state := range slotStates() {
			m.slots.WithLabelValues(haproxy, proxy, state).Set(float64(byState[state]))
		}
	})
}

// InstanceOverflow says for how many endpoints of a backend an instance lacks
// the slot.
func (m *Metrics) InstanceOverflow(haproxy, proxy string, n int) {
	m.cell(haproxy, proxy, func() { m.instanceOverflow.WithLabelValues(haproxy, proxy).Set(float64(n)) })
}

// ExternalHeld says how many slots somebody else took out on an instance.
func (m *Metrics) ExternalHeld(haproxy, proxy string, n int) {
	m.cell(haproxy, proxy, func() { m.external.WithLabelValues(haproxy, proxy).Set(float64(n)) })
}

// Drift counts n changes of a kind that brought a backend of an instance back to
// what it should have been already.
func (m *Metrics) Drift(haproxy, proxy, kind string, n int) {
	m.cell(haproxy, proxy, func() { add(m.drift.WithLabelValues(haproxy, proxy, kind), n) })
}

// Instance says how an instance is doing. lag is the age of the oldest update
// that it was not read back with, 0 if there is none.
func (m *Metrics) Instance(haproxy string, up, inSync bool, lag time.Duration) {
	m.instance(haproxy, func() {
		m.up.WithLabelValues(haproxy).Set(number(up))
		m.inSync.WithLabelValues(haproxy).Set(number(inSync))
		m.lag.WithLabelValues(haproxy).Set(lag.Seconds())
	})
}

// Restarted counts that another process answers for an instance.
func (m *Metrics) Restarted(haproxy string) {
	m.instance(haproxy, func() { m.restarts.WithLabelValues(haproxy).Inc() })
}

// Commands counts n commands (addr, weight, state, add, del, shut, show) of a round
// that changed something, with one result (ok, unchanged, refused).
func (m *Metrics) Commands(haproxy, command, result string, n int) {
	m.instance(haproxy, func() { add(m.commands.WithLabelValues(haproxy, command, result), n) })
}

// Round says how long one round that changed an instance took.
func (m *Metrics) Round(haproxy string, took time.Duration) {
	m.instance(haproxy, func() { m.rounds.WithLabelValues(haproxy).Observe(took.Seconds()) })
}

// Propagated says how long it took from a source's news until it was read back
// from an instance.
func (m *Metrics) Propagated(haproxy string, took time.Duration) {
	m.instance(haproxy, func() { m.propagation.WithLabelValues(haproxy).Observe(took.Seconds()) })
}

func (m *Metrics) pair(source, proxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.scope.pairs[Pair{source, proxy}] {
		do()
	}
}

func (m *Metrics) proxy(proxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.scope.proxies[proxy] {
		do()
	}
}

func (m *Metrics) cell(haproxy, proxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.scope.cells[cell{haproxy, proxy}] {
		do()
	}
}

func (m *Metrics) instance(haproxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.scope.instances[haproxy] {
		do()
	}
}

// add adds n if it is positive: a counter must not panic over a number that
// somebody else computed.
func add(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
