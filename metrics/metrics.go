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
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "slotsync"

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
// A series exists from the [Metrics.Track] that names its instance or backend
// until the one that does not; what is told of any other is dropped, so that a
// worker that is about to end cannot bring back what has just gone.
type Metrics struct {
	lists Lists

	mu    sync.RWMutex // held for reading while a series is touched
	scope scope

	reloaded    prometheus.Gauge
	stateWrites prometheus.Counter

	// By source and proxy.
	sourceUp        *prometheus.GaugeVec
	sourceEndpoints *prometheus.GaugeVec
	sourceSuccess   *prometheus.GaugeVec
	sourceErrors    *prometheus.CounterVec
	kept            *prometheus.GaugeVec
	rejected        *prometheus.CounterVec

	// By proxy.
	held      *prometheus.GaugeVec
	overflow  *prometheus.GaugeVec
	paused    *prometheus.GaugeVec
	needed    *prometheus.GaugeVec
	overrides *prometheus.GaugeVec

	// By haproxy and proxy.
	slots            *prometheus.GaugeVec
	instanceOverflow *prometheus.GaugeVec
	external         *prometheus.GaugeVec
	drift            *prometheus.CounterVec

	// By haproxy.
	up          *prometheus.GaugeVec
	inSync      *prometheus.GaugeVec
	lag         *prometheus.GaugeVec
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
	m.reloaded = f.gauge("config_last_reload_successful",
		"Whether the configuration that was read last is in force.").WithLabelValues()
	m.stateWrites = f.counter("state_write_errors_total",
		"Times that the state directory or a server-state file could not be written.").WithLabelValues()
	m.registerBackends(f)
	m.registerInstances(f)
	return m
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

func (m *Metrics) registerBackends(f factory) {
	m.sourceUp = f.gauge("source_up",
		"Whether the source of a backend answered when it was asked last.", "source", "proxy")
	m.sourceEndpoints = f.gauge("source_endpoints",
		"Endpoints in the last answer of a source, by what they may be used for.", "source", "proxy", "state")
	m.sourceSuccess = f.gauge("source_last_success_timestamp_seconds",
		"When the source of a backend answered last.", "source", "proxy")
	m.sourceErrors = f.counter("source_errors_total",
		"Errors of a source, by the kind of trouble. None of them removes an endpoint.", "source", "proxy", "class")
	m.rejected = f.counter("endpoints_rejected_total",
		"Entries in the answers of a source that are not fit to be an endpoint.", "source", "proxy", "reason")
	m.kept = f.gauge("source_kept",
		"Endpoints of a source that stay although it does not list them now, because it cannot say that they are gone.", "source", "proxy")
	m.held = f.gauge("guard_held",
		"Whether an update of a backend is held back.", "proxy", "kind")
	m.overflow = f.gauge("overflow_endpoints",
		"Endpoints of a backend for which no slot is left.", "proxy")
	m.paused = f.gauge("paused",
		"Whether nothing is written to the slots of a backend.", "proxy")
	m.overrides = f.gauge("override_active",
		"Endpoints of a backend of which operators asked something, by what.", "proxy", "kind")
	m.needed = f.gauge("haproxy_reload_needed",
		"Whether a backend lacks slots, which only a reload of HAProxy can give.", "proxy")
}

func (m *Metrics) registerInstances(f factory) {
	m.slots = f.gauge("slots",
		"Slots of a backend, by what they are on an instance.", "haproxy", "proxy", "state")
	m.instanceOverflow = f.gauge("instance_overflow",
		"Endpoints of a backend whose slot an instance lacks.", "haproxy", "proxy")
	m.external = f.gauge("external_held",
		"Slots that somebody else took out of traffic, and that are left so.", "haproxy", "proxy")
	m.drift = f.counter("drift_corrections_total",
		"Changes that brought an instance back to what it should have been already.", "haproxy", "proxy", "kind")
	m.up = f.gauge("instance_up",
		"Whether an instance answers.", "haproxy")
	m.inSync = f.gauge("instance_in_sync",
		"Whether all slots of an instance were read back as they should be.", "haproxy")
	m.lag = f.gauge("instance_lag_seconds",
		"Age of the oldest update that has not been read back from an instance.", "haproxy")
	m.restarts = f.counter("instance_restarts_total",
		"Times that another process answered at the socket of an instance.", "haproxy")
	m.commands = f.counter("commands_total",
		"Commands of rounds that changed an instance, by what they set or read and what came of them.", "haproxy", "command", "result")
	m.reloads = f.counter("haproxy_reloads_total",
		"Reloads of HAProxy by slotsync, by what for and what came of them.", "haproxy", "reason", "result")
	m.rounds = f.histogram("round_duration_seconds",
		"How long a round that changed an instance took.", roundBuckets(), "haproxy")
	m.propagation = f.histogram("propagation_seconds",
		"Time from a source's news until it was read back from an instance.", propagationBuckets(), "haproxy")
}

func roundBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func propagationBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
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

func (f factory) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return f.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histogram has fixed buckets for everybody and native ones for servers that
// ask for them.
func (f factory) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}
