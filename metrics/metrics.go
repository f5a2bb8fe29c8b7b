// Package metrics counts what the agent sees and does, for Prometheus.
//
// It is the only package that knows the Prometheus client, and it knows none of
// ours: what it is told are plain names and numbers. Labels join with HAProxy's
// own exporter: proxy is the backend; haproxy is the instance's name, since the
// label instance belongs to Prometheus.
package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "slotsync"

//go:generate go -C .. run ./tools/metricsdoc

// Lists are the closed lists of label values that other packages own. Each value
// exists at 0 from the start, so that a rate sees its first event.
type Lists struct {
	Classes []string // of a source's errors
	Reasons []string // why something that a source named is not an endpoint
	Kinds   []string // of a change to a slot
	// Overrides are the kinds of what operators ask for.
	Overrides []string
}

// Metrics are the metrics of one agent. They are made by [New] and safe for
// concurrent use.
//
// What only goes up is counted when it happens: such a series exists from the [Metrics.Track]
// that names its instance or backend until the one that does not, and what is told of any
// other is dropped, so that a worker that is about to end cannot bring back what has just
// gone. The gauges are those of the [Snapshot] that is taken when somebody scrapes.
type Metrics struct {
	lists Lists
	read  atomic.Pointer[func() (Snapshot, error)]

	mu    sync.RWMutex // held for reading while a series is touched
	scope Snapshot     // its keys are what there are series of

	reloaded    prometheus.Gauge
	stateWrites prometheus.Counter
	auditWrites prometheus.Counter
	mapWrites   prometheus.Counter

	// By source and proxy.
	sourceErrors *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	// By haproxy and proxy.
	drift *prometheus.CounterVec
	// By haproxy.
	restarts    *prometheus.CounterVec
	commands    *prometheus.CounterVec
	rounds      *prometheus.HistogramVec
	propagation *prometheus.HistogramVec
	reloads     *prometheus.CounterVec
}

// New registers the metrics with reg, those of the Go runtime and of the process
// included. version is slotsync's own. It panics if reg has any of them already.
func New(reg prometheus.Registerer, version string, lists Lists) *Metrics {
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	f := factory{promauto.With(reg)}
	f.buildInfo(version)
	m := &Metrics{lists: lists}
	m.reloaded = f.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "config_last_reload_successful",
		Help: "Whether the configuration that was read last is in force.",
	})
	m.stateWrites = f.counter("state_write_errors_total",
		"Times that the state directory or a server-state file could not be written.").WithLabelValues()
	m.auditWrites = f.counter("audit_write_errors_total",
		"Changes that were asked for over the API and are not in the audit file.").WithLabelValues()
	m.mapWrites = f.counter("slot_map_write_errors_total",
		"Times that the file of slot_map could not be written.").WithLabelValues()
	m.registerCounters(f)
	reg.MustRegister(newGauges(lists, m.snapshot))
	return m
}

// SnapshotFrom has the gauges say what read returns; before it is called there are none.
// read has to return soon: a scrape waits for it, and fails with its error.
func (m *Metrics) SnapshotFrom(read func() (Snapshot, error)) { m.read.Store(&read) }

func (m *Metrics) snapshot() (Snapshot, error) {
	if read := m.read.Load(); read != nil {
		return (*read)()
	}
	return Snapshot{}, nil
}

// Handler answers with what g gathers, in the format that the client asks for.
// It gives up after 10 s, and answers 503 to more than 8 requests at a time.
func Handler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 8,
		Timeout:             10 * time.Second,
	})
}

func (m *Metrics) registerCounters(f factory) {
	m.sourceErrors = f.counter("source_errors_total",
		"Errors of a source, by the kind of trouble. None of them removes an endpoint.", "source", "proxy", "class")
	m.rejected = f.counter("endpoints_rejected_total",
		"Entries in the answers of a source that are not fit to be an endpoint.", "source", "proxy", "reason")
	m.drift = f.counter("drift_corrections_total",
		"Changes that brought an instance back to what it should have been already.", "haproxy", "proxy", "kind")
	m.restarts = f.counter("instance_restarts_total",
		"Times that another process answered at the socket of an instance.", "haproxy")
	m.commands = f.counter("commands_total",
		"Commands of rounds that changed an instance, by what they set or read and what came of them.", "haproxy", "command", "result")
	m.reloads = f.counter("haproxy_reloads_total",
		"Reloads of HAProxy by slotsync, by what for and what came of them.", "haproxy", "reason", "result")
	m.rounds = f.histogram("round_duration_seconds",
		"How long a round that changed an instance took.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	m.propagation = f.histogram("propagation_seconds",
		"Time from a source's news until it was read back from an instance.", .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)
}

// A factory makes metrics in our namespace.
type factory struct{ promauto.Factory }

func (f factory) buildInfo(version string) {
	f.NewGauge(prometheus.GaugeOpts{
		Namespace:   namespace,
		Name:        "build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}).Set(1)
}

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histogram is one for each instance. It has fixed buckets for everybody and native ones for servers that
// ask for them.
func (f factory) histogram(name, help string, buckets ...float64) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"haproxy"})
}
