package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reloaded says whether the configuration that was just read is in force; also
// of the first one. Until then it counts as failed.
func (m *Metrics) Reloaded(ok bool) { m.reloaded.Set(number(ok)) }

// AuditWriteFailed counts a change that is not in the audit file.
func (m *Metrics) AuditWriteFailed() { m.auditWrites.Inc() }

// SlotMapWriteFailed counts a write of the slot map that failed.
func (m *Metrics) SlotMapWriteFailed() { m.mapWrites.Inc() }

// StateWriteFailed counts a write of the state directory, or of a server-state
// file, that failed.
func (m *Metrics) StateWriteFailed() { m.stateWrites.Inc() }

// SourceFailed counts an error of a source by its class.
func (m *Metrics) SourceFailed(source, proxy, class string) {
	m.ofSource(source, proxy, func() { m.sourceErrors.WithLabelValues(source, proxy, class).Inc() })
}

// Rejected counts an entry of a source's answer that is no endpoint.
func (m *Metrics) Rejected(source, proxy, reason string) {
	m.ofSource(source, proxy, func() { m.rejected.WithLabelValues(source, proxy, reason).Inc() })
}

// HAProxyReloaded counts one reload of an instance. reason is one of
// [ReloadReasons] and result one of [ReloadResults].
func (m *Metrics) HAProxyReloaded(haproxy, reason, result string) {
	m.ofInstance(haproxy, func() { m.reloads.WithLabelValues(haproxy, reason, result).Inc() })
}

// Drift counts n changes of a kind that brought a backend of an instance back to
// what it should have been already.
func (m *Metrics) Drift(haproxy, proxy, kind string, n int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, ok := m.scope.Slots[SlotsKey{haproxy, proxy}]; ok {
		add(m.drift.WithLabelValues(haproxy, proxy, kind), n)
	}
}

// Restarted counts that another process answers for an instance.
func (m *Metrics) Restarted(haproxy string) {
	m.ofInstance(haproxy, func() { m.restarts.WithLabelValues(haproxy).Inc() })
}

// Commands counts n commands of a round that changed something: commandNames and commandResults list what command
// and result may be.
func (m *Metrics) Commands(haproxy, command, result string, n int) {
	m.ofInstance(haproxy, func() { add(m.commands.WithLabelValues(haproxy, command, result), n) })
}

// Round says how long one round that changed an instance took.
func (m *Metrics) Round(haproxy string, took time.Duration) {
	m.ofInstance(haproxy, func() { m.rounds.WithLabelValues(haproxy).Observe(took.Seconds()) })
}

// Propagated says how long it took from a source's news until it was read back
// from an instance.
func (m *Metrics) Propagated(haproxy string, took time.Duration) {
	m.ofInstance(haproxy, func() { m.propagation.WithLabelValues(haproxy).Observe(took.Seconds()) })
}

func (m *Metrics) ofSource(source, proxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, ok := m.scope.Sources[SourceKey{source, proxy}]; ok {
		do()
	}
}

func (m *Metrics) ofInstance(haproxy string, do func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, ok := m.scope.Instances[haproxy]; ok {
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

func commandNames() []string {
	return []string{"addr", "weight", "state", "add", "del", "shut", "agent", "show"}
}
func commandResults() []string { return []string{"ok", "unchanged", "refused"} }

// ReloadReasons are why HAProxy is reloaded: slots ran out, or somebody asked.
func ReloadReasons() []string { return []string{"overflow", "request"} }

// ReloadResults are what may come of it.
func ReloadResults() []string { return []string{"ok", "failed"} }

// Track says which instances, backends and sources there are from now on: those that s names.
// Every counter of a new one starts at 0; those of one that is gone are deleted.
func (m *Metrics) Track(s Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.scope
	m.scope = Snapshot{Instances: s.Instances, Sources: s.Sources, Slots: s.Slots}
	replace(was.Instances, s.Instances, m.addInstance, func(haproxy string) {
		drop(prometheus.Labels{"haproxy": haproxy}, m.restarts, m.commands, m.rounds, m.propagation, m.reloads)
	})
	replace(was.Sources, s.Sources, m.addSource, func(k SourceKey) {
		drop(prometheus.Labels{"source": k.Source, "proxy": k.Proxy}, m.sourceErrors, m.rejected)
	})
	replace(was.Slots, s.Slots, m.addSlots, func(k SlotsKey) {
		drop(prometheus.Labels{"haproxy": k.HAProxy, "proxy": k.Proxy}, m.drift)
	})
}

func replace[K comparable, V any](was, is map[K]V, add, drop func(K)) {
	for k := range was {
		if _, still := is[k]; !still {
			drop(k)
		}
	}
	for k := range is {
		if _, before := was[k]; !before {
			add(k)
		}
	}
}

func (m *Metrics) addSource(k SourceKey) {
	for _, class := range m.lists.Classes {
		m.sourceErrors.WithLabelValues(k.Source, k.Proxy, class)
	}
	for _, reason := range m.lists.Reasons {
		m.rejected.WithLabelValues(k.Source, k.Proxy, reason)
	}
}

func (m *Metrics) addSlots(k SlotsKey) {
	for _, kind := range m.lists.Kinds {
		m.drift.WithLabelValues(k.HAProxy, k.Proxy, kind)
	}
}

func (m *Metrics) addInstance(haproxy string) {
	m.restarts.WithLabelValues(haproxy)
	for _, command := range commandNames() {
		for _, result := range commandResults() {
			m.commands.WithLabelValues(haproxy, command, result)
		}
	}
	for _, reason := range ReloadReasons() {
		for _, result := range ReloadResults() {
			m.reloads.WithLabelValues(haproxy, reason, result)
		}
	}
	m.rounds.WithLabelValues(haproxy)
	m.propagation.WithLabelValues(haproxy)
}

// drop deletes what has these labels. All vectors have the method.
func drop(labels prometheus.Labels, from ...interface{ DeletePartialMatch(prometheus.Labels) int }) {
	for _, v := range from {
		v.DeletePartialMatch(labels)
	}
}
