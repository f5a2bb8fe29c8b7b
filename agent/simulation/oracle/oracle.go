// Package oracle judges from outside whether an agent that fills HAProxy's slots kept its
// promises. It is told, in order, what the sources answered, what HAProxy executed, what
// operators asked and what the agent said of itself, and names every promise that was
// broken. It is written from the contract alone and shares no code with the agent.
//
// Where the contract leaves room, for a moment or for a case that cannot be told from
// outside, the oracle is silent: what it names is wrong.
package oracle

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// How long things may take that are not at once.
const (
	// Grace is for what the agent knows already and HAProxy does not yet, or the other
	// way round.
	Grace = 5 * time.Second
	// Calm is how long nothing must have happened to an instance, a source, or the agent
	// before an endpoint has to be in service: back-offs go up to 5 s, timeouts come on
	// top.
	Calm = 20 * time.Second
	// Window is for how long an answer vouches for the process that gave it: a command that
	// goes out within it may meet another one.
	Window = 50 * time.Millisecond
	// Late is how long a source that failed, or has listed the endpoint only now, may
	// take to be asked again.
	Late = 45 * time.Second
)

// States of an endpoint at a source, and of a server in HAProxy.
const (
	Ready = "ready"
	Drain = "drain"
	Down  = "down"
	Maint = "maint"
)

// What a part of an answer proves.
const (
	Whole   = "whole"
	Partial = "partial"
	Unknown = "unknown"
)

// An Endpoint is an address as a source lists it.
type Endpoint struct {
	Addr  netip.AddrPort
	State string // [Ready], [Drain] or [Down]
}

// A Part is a part of an answer.
type Part struct {
	Name, Parent string
	State        string // [Whole], [Partial] or [Unknown]
	Endpoints    []Endpoint
}

// A Server is one server as HAProxy has it.
type Server struct {
	Name     string
	Addr     netip.AddrPort
	State    string // [Ready], [Drain] or [Maint]
	Weight   int
	Sessions int
	Dynamic  bool
}

// A Backend says what the agent was configured to do with one.
type Backend struct {
	Name  string
	Feeds []string
	// Primary is the feed for which the others stand in; "": all are used.
	Primary string
	Prefix  string // of the slots; "": it is found
	// Hold and EmptyHold are how long a loss is held; 0: it is not, negative: for ever.
	Hold, EmptyHold, Window time.Duration
	MaxRemoval              float64
	// Allow are the networks that are not refused; empty: all but those of Deny.
	Allow, Deny []netip.Prefix
	Dynamic     bool
	// Keep: what is registered and served last goes on while all of it is unhealthy.
	Keep bool
	// Repair: what somebody else does to a slot is undone.
	Repair bool
	// Instances are those that it has slots on; empty: all.
	Instances []string
}

// selects reports whether any address is refused.
func (b *Backend) selects() bool { return len(b.Allow)+len(b.Deny) > 0 }

// at reports whether it has slots on the instance.
func (b *Backend) at(instance string) bool {
	return len(b.Instances) == 0 || slices.Contains(b.Instances, instance)
}

// A Violation is a promise that was broken.
type Violation struct {
	At   time.Time
	Rule string
	Text string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s %s: %s", v.At.Format("15:04:05.000"), v.Rule, v.Text)
}

// An Oracle is told a history and finds what is wrong with it. It is made by [New].
type Oracle struct {
	backends   map[string]*backend
	instances  map[string]*instance
	violations []Violation
	// running is since when the agent runs; zero: it does not.
	running time.Time
	stopped time.Time // when it ended last
	// changed is when its configuration changed last.
	changed  time.Time
	acked    map[Ask]time.Time     // what operators were told is in force
	ended    map[Ask]time.Time     // and is no more
	until    map[Ask]time.Time     // when what was asked last ends by itself
	doubtful map[Ask]bool          // may be in force
	differ   map[string]difference // gauges that differ from the status
	paused   map[string]time.Time  // until when
	// unstored is since when the agent cannot store anything; zero: it can.
	unstored time.Time
	// forgets: it could not store something since it was started.
	forgets bool
	resumed time.Time
	events  []Event
	record  func(Entry) // nil: nothing is kept
	done    []removal
	moved   []move
	reloads reloads
}

// A difference is that a gauge is not what the status says, for so long.
type difference struct {
	value float64 // in the status
	since time.Time
}

// New returns an oracle that has been told nothing.
func New() *Oracle {
	return &Oracle{
		backends: map[string]*backend{}, instances: map[string]*instance{}, acked: map[Ask]time.Time{},
		ended: map[Ask]time.Time{}, until: map[Ask]time.Time{}, doubtful: map[Ask]bool{}, differ: map[string]difference{}, paused: map[string]time.Time{},
		reloads: reloads{tried: map[cause]time.Time{}},
	}
}

// Violations are the promises that were broken so far, first one first.
func (o *Oracle) Violations() []Violation { return o.violations }

func (o *Oracle) wrong(at time.Time, rule, format string, args ...any) {
	if len(o.violations) < 20 {
		o.violations = append(o.violations, Violation{at, rule, fmt.Sprintf(format, args...)})
	}
}

// Configured tells what the agent is to do from now on. What it does not name, it leaves.
func (o *Oracle) Configured(at time.Time, backends []Backend, instances []string) {
	o.keep("Configured", at, backends, instances)
	o.changed = at
	before := o.serving()
	defer func() { o.meetAgain(before); o.giveUp(at, before) }()
	now := map[string]*backend{}
	for _, conf := range backends {
		b := o.backends[conf.Name]
		if b == nil {
			b = newBackend()
		}
		if !b.present { // what was known of it was given up with it
			b.came = at
			for a := range b.listed {
				b.lost[a] = true
			}
		}
		if b.selects() {
			b.denied = at
		}
		if b.Primary != conf.Primary || !slices.Equal(b.Feeds, conf.Feeds) {
			b.past = nil // it was another set
		}
		if b.Primary != conf.Primary { // who was only listed by one that stood by has not served
			clear(b.stayed)
			b.used = at
		}
		b.Backend, b.present = conf, true
		maps.DeleteFunc(b.feeds, func(name string, _ *feed) bool { return !slices.Contains(conf.Feeds, name) })
		for _, name := range conf.Feeds {
			if b.feeds[name] == nil {
				b.feeds[name] = &feed{parts: map[string]*part{}}
			}
		}
		now[conf.Name] = b
		b.reckon(at)
	}
	for name, b := range o.backends {
		if now[name] == nil {
			b.present = false
			now[name] = b
		}
	}
	o.backends = now
	for _, name := range instances {
		if o.instances[name] == nil {
			o.instances[name] = newInstance(at)
		}
	}
	for name, in := range o.instances {
		managed := slices.Contains(instances, name)
		if managed && !in.managed {
			in.anew(at)
		}
		if in.managed && !managed {
			in.parted, in.known = at, !o.running.IsZero() && at.Sub(o.running) > Calm && in.calm(at, Calm)
		}
		in.managed = managed
	}
}

// Moved tells that an instance that is not configured will be at another socket when it is: nobody
// can know then that it is the same.
func (o *Oracle) Moved(name string) {
	o.keep("Moved", name)
	o.instances[name].known = false
}

// Started tells that the agent runs, Stopped that it does not: it was killed, or ended.
func (o *Oracle) Started(at time.Time) {
	o.keep("Started", at)
	o.forgetEmptied() // HAProxy did what was sent before the end
	o.running, o.events, o.done, o.forgets = at, nil, nil, !o.unstored.IsZero()
	for _, in := range o.instances {
		in.meet(o)
		in.anew(at)
	}
	clear(o.differ)
	for _, b := range o.backends {
		for _, f := range b.feeds {
			for _, p := range f.parts {
				p.now = nil // it has not been told yet
			}
		}
	}
}

// Stopped is the opposite of [Oracle.Started].
func (o *Oracle) Stopped(at time.Time) {
	o.keep("Stopped", at)
	o.running, o.stopped = time.Time{}, at
	stored := at.Add(-Grace)
	if !o.unstored.IsZero() {
		stored = o.unstored.Add(-Grace)
	}
	o.forgetReloads(stored)
	o.forgetEmptied()
	for _, b := range o.backends {
		for a, since := range b.told {
			if since.After(stored) || !o.unstored.IsZero() { // who lists it may not be stored
				b.lost[a] = true
			}
		}
	}
}

// steady reports whether the agent has run under this configuration for long enough.
func (o *Oracle) steady(at time.Time) bool {
	return !o.running.IsZero() && at.Sub(o.running) > Calm && at.Sub(o.changed) > Calm
}

// Unstored tells that the agent cannot store anything from now on, Stored that it can.
func (o *Oracle) Unstored(at time.Time) {
	o.keep("Unstored", at)
	o.unstored, o.forgets = at, true
}

// Stored is the opposite of [Oracle.Unstored].
func (o *Oracle) Stored() {
	o.keep("Stored")
	o.unstored = time.Time{}
}
