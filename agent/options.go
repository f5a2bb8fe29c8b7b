// Package agent keeps the slots of HAProxy instances in step with discovery.
//
// One loop owns every decision: it takes what sources say ([discovery.Watch]),
// passes it through the guard, assigns endpoints to slots and hands each
// instance its newest targets. One [reconciler.Reconciler] per instance makes them true and
// reads them back, so that a slow or dead instance delays no other. The agent
// knows neither HAProxy's wire nor any discovery system: it is given a [slots.Conn]
// for each instance and a [discovery.Source] for each feed of a backend.
package agent

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// An Instance is one HAProxy that the agent writes to.
type Instance struct {
	Name string // unique; the label haproxy in metrics
	Conn slots.Conn
	// Socket is where it is reached, the same for all ways to write one; "": as Conn says. Two
	// instances with the same one are one HAProxy, whatever they are called.
	Socket string
	// Query asks the same HAProxy for people; nil if that cannot be done.
	Query Querier
	// Maps keeps the slot map of the same HAProxy; nil if none is kept.
	Maps Mapper
	// StateFile: what Conn saves is meant to be loaded by HAProxy when it starts.
	StateFile bool
	// Key changes when anything about the connection does: a reconciler whose key
	// is the same goes on over a [Agent.Reconfigure].
	Key string
}

// socket is where it is reached.
func (i Instance) socket() string { return cmp.Or(i.Socket, i.Conn.String()) }

// A Feed is one source of a backend.
type Feed struct {
	// Name is how the configuration calls the source; unique in the backend.
	Name string
	// Source knows the endpoints.
	Source discovery.Source
	// Key changes when any parameter of the source does: a watch whose key is the
	// same goes on over a [Agent.Reconfigure].
	Key string
	// Identity says who is asked for what: addresses that a source of another
	// identity listed are not removed. It differs from Key where the answer itself
	// is configured; "" stands for Key.
	Identity string
}

// What is done when every endpoint that is registered is unhealthy; see
// [Backend].
const (
	KeepUnhealthy = "keep" // what served last goes on
	DropUnhealthy = "drop" // as with an empty set
)

// A Backend is one backend of HAProxy and the feeds that fill it.
type Backend struct {
	// Name is ours, and unique; Proxy is HAProxy's.
	Name, Proxy string
	// Prefix is the one of the server-template; "" if it is to be found.
	Prefix string
	// Instances are names; empty means all.
	Instances []string
	// Feeds know the endpoints; there is at least one. Failover says which are
	// asked when.
	Feeds    []Feed
	Failover sources.Failover
	// OnAllUnhealthy is [KeepUnhealthy], [DropUnhealthy], or "": keep if HAProxy
	// checks the slots at any instance, else drop.
	OnAllUnhealthy string
	// Policy says which of the endpoints that feeds list, or operators add, are used. The
	// zero value lets all pass.
	Policy discovery.Policy
	// Guard holds back removals.
	Guard guard.Rules
	// Leave says where an endpoint goes that is gone or critical: slots.Maint
	// at once (the zero value), or slots.Drain first, for Drain.
	Leave slots.Class
	Drain time.Duration
	// Shutdown ends the sessions that such an endpoint still has, Drain after it left.
	// The zero value never ends any.
	Shutdown bool
	// Dynamic adds servers at run time when no slot is left (HAProxy 2.6 and
	// later), with the keywords of DynamicOptions.
	Dynamic        bool
	DynamicOptions string
	// MaxSlots bounds the slots, dynamic ones included. Default 1000.
	MaxSlots int
	// RepairExternal undoes what somebody else did to a slot. The zero value
	// respects it.
	RepairExternal bool
}

// Options says what an [Agent] works on. Durations of zero stand for the
// default of the field.
type Options struct {
	Instances []Instance
	Backends  []Backend
	// Reloads are the ways to reload HAProxy, tried in this order.
	Reloads []Reload
	// Timeout bounds one round of commands to one instance. Default 5 s.
	Timeout time.Duration
	// Poll is how often an instance is asked whether it was restarted. Default
	// 500 ms.
	Poll time.Duration
	// Resync is how often live slots are compared with the table. Default 30 s.
	Resync time.Duration
	// StateDir is where the agent keeps what it must not forget; "" for
	// nowhere.
	StateDir string
	// Disk, if it is not nil, is handed whatever writes to StateDir, and is to do it:
	// tests have it be slow, or fail.
	Disk func(write func() error) error
	// Folders says which folders are good enough to keep it in.
	Folders securedir.Policy
	// SlotMap is the file of the map from slots to names; "": none is kept.
	SlotMap string
	// DrainRemoved has [Agent.Reconfigure] take slots out of service before it
	// gives them up. Else they stay as they are.
	DrainRemoved bool
	// Log and Metrics must not be nil.
	Log     *slog.Logger
	Metrics *metrics.Metrics
}

// The defaults of [Options].
const (
	DefaultTimeout = 5 * time.Second
	DefaultPoll    = 500 * time.Millisecond
	DefaultResync  = 30 * time.Second
	DefaultDrain   = 30 * time.Second
	// DefaultMaxSlots is the one of a backend.
	DefaultMaxSlots = 1000
)
