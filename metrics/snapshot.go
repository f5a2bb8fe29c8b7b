package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Snapshot is the state of an agent at one moment, which is all that the gauges say. What a
// map by a label lacks of the closed list of that label is 0.
type Snapshot struct {
	Instances map[string]Instance
	Proxies   map[string]Proxy
	Sources   map[SourceKey]Source
	Slots     map[SlotsKey]Slots
	Named     map[NamedSlot]bool
	// StateFailing: the state directory could not be written last.
	StateFailing bool
}

// A SourceKey is a source of one backend, by HAProxy's name of that.
type SourceKey struct{ Source, Proxy string }

// A SlotsKey is a backend on one instance.
type SlotsKey struct{ HAProxy, Proxy string }

// An Instance is how one HAProxy is doing.
type Instance struct {
	Up, InSync bool
	// Lag is the age of the oldest update that was not read back, 0 if there is none.
	Lag time.Duration
	// ReloadFailed: so did the last reload. StateFileFailing: a server-state file could not be
	// written last.
	ReloadFailed, StateFileFailing bool
}

// A Proxy is how one backend of HAProxy is doing.
type Proxy struct {
	Held         map[string]bool // by kind: empty, removal, takeover or unhealthy
	Overrides    map[string]int  // endpoints, by one of [Lists.Overrides]
	Overflow     int
	Paused       bool
	ReloadNeeded bool
}

// A Source is what is known of one source.
type Source struct {
	Up        bool
	Answered  time.Time      // last; zero: never, and then it has no timestamp
	Endpoints map[string]int // of its last answer: ready, drain, down or rejected
	Kept      int
}

// Slots are those of a backend on an instance.
type Slots struct {
	States   map[string]int // free, ready, drain, maint, external or takeover
	Overflow int
	External int
	// Conflicts are slots that something else keeps changing.
	Conflicts int
}

// A NamedSlot is a slot with what the source calls the instance in it.
type NamedSlot struct{ Proxy, Server, Address, Name string }

// The closed lists of label values that are our own.
func endpointStates() []string { return []string{"ready", "drain", "down", "rejected"} }
func slotStates() []string {
	return []string{"free", "ready", "drain", "maint", "external", "takeover"}
}
func guardKinds() []string { return []string{"empty", "removal", "takeover", "unhealthy"} }

// gauges is a collector that asks for a snapshot at each scrape.
type gauges struct {
	lists Lists
	read  func() (Snapshot, error)
	all   []*prometheus.Desc

	up, inSync, lag, reloadFailed, fileFailing            *prometheus.Desc
	held, overrides, overflow, paused, needed             *prometheus.Desc
	sourceUp, sourceEndpoints, sourceAnswered, sourceKept *prometheus.Desc
	slots, slotsOverflow, slotsExternal, slotsConflict    *prometheus.Desc
	stateFailing, slotInfo                                *prometheus.Desc
}

func newGauges(lists Lists, read func() (Snapshot, error)) *gauges {
	g := &gauges{lists: lists, read: read}
	g.up = g.desc("instance_up", "Whether an instance answers.", "haproxy")
	g.inSync = g.desc("instance_in_sync",
		"Whether all slots of an instance were read back as they should be.", "haproxy")
	g.lag = g.desc("instance_lag_seconds",
		"Age of the oldest update that has not been read back from an instance.", "haproxy")
	g.reloadFailed = g.desc("haproxy_reload_failed",
		"Whether the last reload of an instance by slotsync failed.", "haproxy")
	g.fileFailing = g.desc("state_file_write_failing",
		"Whether a server-state file of an instance could not be written when that was tried last.", "haproxy")
	g.stateFailing = g.desc("state_write_failing",
		"Whether the state directory could not be written when that was tried last.")

	g.held = g.desc("guard_held", "Whether an update of a backend is held back.", "proxy", "kind")
	g.overrides = g.desc("override_active",
		"Endpoints of a backend of which operators asked something, by what.", "proxy", "kind")
	g.overflow = g.desc("overflow_endpoints", "Endpoints of a backend for which no slot is left.", "proxy")
	g.paused = g.desc("paused", "Whether nothing is written to the slots of a backend, or to one that somebody else keeps changing.", "proxy")
	g.needed = g.desc("haproxy_reload_needed",
		"Whether a backend lacks slots, which only a reload of HAProxy can give.", "proxy")

	g.sourceUp = g.desc("source_up",
		"Whether the source of a backend answered when it was asked last.", "source", "proxy")
	g.sourceEndpoints = g.desc("source_endpoints",
		"Endpoints in the last answer of a source, by what they may be used for.", "source", "proxy", "state")
	g.sourceAnswered = g.desc("source_last_success_timestamp_seconds",
		"When the source of a backend answered last.", "source", "proxy")
	g.sourceKept = g.desc("source_kept",
		"Endpoints of a source that stay although it does not list them now, because it cannot say that they are gone.", "source", "proxy")

	g.slots = g.desc("slots", "Slots of a backend, by what they are on an instance.", "haproxy", "proxy", "state")
	g.slotsOverflow = g.desc("instance_overflow",
		"Endpoints of a backend whose slot an instance lacks.", "haproxy", "proxy")
	g.slotsExternal = g.desc("external_held",
		"Slots that somebody else took out of traffic, and that are left so.", "haproxy", "proxy")
	g.slotsConflict = g.desc("conflict_slots",
		"Slots that something else keeps changing, and that are not written to for now.", "haproxy", "proxy")
	g.slotInfo = g.desc("slot_info",
		"Always 1; the labels say which instance of a service a slot holds.", "proxy", "server", "address", "name")
	return g
}

func (g *gauges) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	g.all = append(g.all, d)
	return d
}

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.all {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. Without a snapshot the scrape fails: Prometheus
// then shows that the agent is in trouble, where old values would hide it.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	s, err := g.read()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(g.up, err)
		return
	}
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	set(g.stateFailing, number(s.StateFailing))
	for name, in := range s.Instances {
		set(g.up, number(in.Up), name)
		set(g.inSync, number(in.InSync), name)
		set(g.lag, in.Lag.Seconds(), name)
		set(g.reloadFailed, number(in.ReloadFailed), name)
		set(g.fileFailing, number(in.StateFileFailing), name)
	}
	for name, p := range s.Proxies {
		for _, kind := range guardKinds() {
			set(g.held, number(p.Held[kind]), name, kind)
		}
		for _, kind := range g.lists.Overrides {
			set(g.overrides, float64(p.Overrides[kind]), name, kind)
		}
		set(g.overflow, float64(p.Overflow), name)
		set(g.paused, number(p.Paused), name)
		set(g.needed, number(p.ReloadNeeded), name)
	}
	for k, src := range s.Sources {
		set(g.sourceUp, number(src.Up), k.Source, k.Proxy)
		for _, state := range endpointStates() {
			set(g.sourceEndpoints, float64(src.Endpoints[state]), k.Source, k.Proxy, state)
		}
		if !src.Answered.IsZero() {
			set(g.sourceAnswered, float64(src.Answered.UnixMilli())/1000, k.Source, k.Proxy)
		}
		set(g.sourceKept, float64(src.Kept), k.Source, k.Proxy)
	}
	for n := range s.Named {
		set(g.slotInfo, 1, n.Proxy, n.Server, n.Address, n.Name)
	}
	for k, own := range s.Slots {
		for _, state := range slotStates() {
			set(g.slots, float64(own.States[state]), k.HAProxy, k.Proxy, state)
		}
		set(g.slotsOverflow, float64(own.Overflow), k.HAProxy, k.Proxy)
		set(g.slotsExternal, float64(own.External), k.HAProxy, k.Proxy)
		set(g.slotsConflict, float64(own.Conflicts), k.HAProxy, k.Proxy)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
