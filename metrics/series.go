package metrics

import "github.com/prometheus/client_golang/prometheus"

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

// replace adds the keys that are new and drops those that are gone.
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
