package metrics

import "github.com/prometheus/client_golang/prometheus"

// A Pair is a backend, by HAProxy's name of it, and one of its sources.
type Pair struct{ Source, Proxy string }

// A cell is a backend on one instance.
type cell struct{ haproxy, proxy string }

// A scope is what there are series of.
type scope struct {
	instances map[string]bool
	pairs     map[Pair]bool
	proxies   map[string]bool
	cells     map[cell]bool
}

// The closed lists of label values that are our own.
func endpointStates() []string { return []string{"ready", "drain", "down", "rejected"} }
func slotStates() []string {
	return []string{"free", "ready", "drain", "maint", "external", "takeover"}
}
func guardKinds() []string { return []string{"empty", "removal", "takeover", "unhealthy"} }
func commandNames() []string {
	return []string{"addr", "weight", "state", "add", "del", "shut", "agent", "show"}
}
func commandResults() []string { return []string{"ok", "unchanged", "refused"} }

// Track says which instances and backends there are from now on, and on which
// of the instances each backend is. Every counter and gauge of a new one starts
// at 0, except timestamps, which appear with their first event; the series of
// one that is gone are deleted.
func (m *Metrics) Track(instances []string, backends []Pair, instancesOf func(proxy string) []string) {
	next := newScope(instances, backends, instancesOf)
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.scope
	m.scope = next
	replace(was.instances, next.instances, m.addInstance, m.dropInstance)
	replace(was.pairs, next.pairs, m.addPair, m.dropPair)
	replace(was.proxies, next.proxies, m.addProxy, m.dropProxy)
	replace(was.cells, next.cells, m.addCell, m.dropCell)
}

func newScope(instances []string, backends []Pair, instancesOf func(string) []string) scope {
	s := scope{
		instances: map[string]bool{}, pairs: map[Pair]bool{},
		proxies: map[string]bool{}, cells: map[cell]bool{},
	}
	for _, name := range instances {
		s.instances[name] = true
	}
	for _, b := range backends {
		s.pairs[b] = true
		s.proxies[b.Proxy] = true
		for _, name := range instancesOf(b.Proxy) {
			s.cells[cell{name, b.Proxy}] = true
		}
	}
	return s
}

func replace[K comparable](was, is map[K]bool, add, drop func(K)) {
	for k := range was {
		if !is[k] {
			drop(k)
		}
	}
	for k := range is {
		if !was[k] {
			add(k)
		}
	}
}

func (m *Metrics) addPair(p Pair) {
	m.sourceUp.WithLabelValues(p.Source, p.Proxy)
	m.kept.WithLabelValues(p.Source, p.Proxy)
	for _, state := range endpointStates() {
		m.sourceEndpoints.WithLabelValues(p.Source, p.Proxy, state)
	}
	for _, class := range m.lists.Classes {
		m.sourceErrors.WithLabelValues(p.Source, p.Proxy, class)
	}
	for _, reason := range m.lists.Reasons {
		m.rejected.WithLabelValues(p.Source, p.Proxy, reason)
	}
}

func (m *Metrics) dropPair(p Pair) {
	drop(prometheus.Labels{"source": p.Source, "proxy": p.Proxy},
		m.sourceUp, m.kept, m.sourceEndpoints, m.sourceSuccess, m.sourceErrors, m.rejected)
}

func (m *Metrics) addProxy(proxy string) {
	for _, kind := range guardKinds() {
		m.held.WithLabelValues(proxy, kind)
	}
	for _, kind := range m.lists.Overrides {
		m.overrides.WithLabelValues(proxy, kind)
	}
	m.overflow.WithLabelValues(proxy)
	m.paused.WithLabelValues(proxy)
	m.needed.WithLabelValues(proxy)
}

func (m *Metrics) dropProxy(proxy string) {
	drop(prometheus.Labels{"proxy": proxy}, m.held, m.overflow, m.paused, m.needed, m.overrides)
}

func (m *Metrics) addCell(c cell) {
	for _, state := range slotStates() {
		m.slots.WithLabelValues(c.haproxy, c.proxy, state)
	}
	m.instanceOverflow.WithLabelValues(c.haproxy, c.proxy)
	m.external.WithLabelValues(c.haproxy, c.proxy)
	for _, kind := range m.lists.Kinds {
		m.drift.WithLabelValues(c.haproxy, c.proxy, kind)
	}
}

func (m *Metrics) dropCell(c cell) {
	drop(prometheus.Labels{"haproxy": c.haproxy, "proxy": c.proxy},
		m.slots, m.instanceOverflow, m.external, m.drift)
}

func (m *Metrics) addInstance(haproxy string) {
	m.up.WithLabelValues(haproxy)
	m.inSync.WithLabelValues(haproxy)
	m.lag.WithLabelValues(haproxy)
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

func (m *Metrics) dropInstance(haproxy string) {
	drop(prometheus.Labels{"haproxy": haproxy},
		m.up, m.inSync, m.lag, m.restarts, m.commands, m.rounds, m.propagation, m.reloads)
}

// A vector is any metric with labels.
type vector interface {
	DeletePartialMatch(labels prometheus.Labels) int
}

func drop(labels prometheus.Labels, from ...vector) {
	for _, v := range from {
		v.DeletePartialMatch(labels)
	}
}
