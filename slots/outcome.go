package slots

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Cause says why HAProxy refused a change.
type Cause string

// The causes of a refusal.
const (
	NoBackend  Cause = "no_backend" // the configuration has no such backend
	NoServer   Cause = "no_server"  // nor such a server
	NoWeights  Cause = "no_weights" // the algorithm takes none: only 0 % and 100 %
	NoAddress  Cause = "no_address" // the address cannot be set (a host name that is resolved, init-addr none)
	Unproved   Cause = "unproved"   // it was accepted, and is not there when read back
	Level      Cause = "level"      // the socket's level is below admin
	Stopped    Cause = "stopped"    // the backend is disabled, or the worker is an old one
	Busy       Cause = "busy"       // it has sessions, and cannot be removed before they end
	NoDynamic  Cause = "no_dynamic" // no servers can be added: the algorithm, or the version
	OtherCause Cause = "other"      // anything else; see the reply
)

// A Refusal is one change that HAProxy did not make.
type Refusal struct {
	Change Change
	Cause  Cause
	// Reply is what came back, printable and cut to 200 runes.
	Reply string
}

// Error says what was refused and why, on one line.
func (r Refusal) Error() string {
	return fmt.Sprintf("%s/%s: %s: %s", r.Change.Backend, r.Change.Slot, r.Cause, r.Reply)
}

// An Outcome is what came of a list of changes.
type Outcome struct {
	// View shows the changed backends after it, read back from the process that
	// took the changes.
	View View
	// Refusals are the changes that are not as they should be.
	Refusals []Refusal
	// Commands counts what was sent.
	Commands []Count
	// Exchanges are the commands about the changes and their replies, in the order in which
	// they were sent, also where the instance failed in between. They share memory with whole
	// answers: to keep one, keep its [Exchange.Copy].
	Exchanges []Exchange
}

// An Exchange is one command about one slot, and HAProxy's reply.
type Exchange struct {
	Backend, Slot string
	// Command is the line that was sent. Reply is the whole text of the answer,
	// mostly "": HAProxy replies only to object.
	Command, Reply string
	// Answered: the reply is known. If not, none came, or it could not be told
	// from the others.
	Answered bool
	// At is when the answer came, or was given up.
	At time.Time
}

// maxText bounds what is kept of a command and of a reply, in runes.
const maxText = 200

// Copy returns e as it may be kept and shown: printable, short, and with memory of
// its own.
func (e Exchange) Copy() Exchange {
	e.Backend, e.Slot = strings.Clone(e.Backend), strings.Clone(e.Slot)
	e.Command = strings.Clone(discovery.Printable(e.Command, maxText))
	e.Reply = strings.Clone(discovery.Printable(e.Reply, maxText))
	return e
}

// A Count is a number of commands with one result.
type Count struct {
	Command string // "addr", "weight", "state", "add", "del", "shut", "agent", "show"
	Result  string // "ok", "unchanged", "refused"
	N       int
}

// A Fault says what kind of trouble an instance is in.
type Fault string

// The faults.
const (
	// Absent: nobody listens on the socket. Tried again soon.
	Absent Fault = "absent"
	// Hung: it takes the connection, and does not answer in time.
	Hung Fault = "hung"
	// Denied: the socket may not be opened, or its level is too low.
	Denied Fault = "denied"
	// Restarted: another process answers than the one that was meant.
	Restarted Fault = "restarted"
	// Garbled: what came back is no answer of HAProxy's.
	Garbled Fault = "garbled"
	// Crowded: HAProxy takes no more connections on this socket (stats maxconn).
	Crowded Fault = "crowded"
)

// An InstanceError is why an instance could not be read or changed.
type InstanceError struct {
	Fault Fault
	// Sent: commands went out and their outcome is not known. They may still be
	// executed.
	Sent bool
	Err  error
}

// Error returns the fault and its cause.
func (e *InstanceError) Error() string { return string(e.Fault) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InstanceError) Unwrap() error { return e.Err }

// FaultOf returns the fault of err and whether commands of unknown outcome went
// out before it. An error that is no [InstanceError] counts as [Garbled].
func FaultOf(err error) (f Fault, sent bool) {
	if e, ok := errors.AsType[*InstanceError](err); ok {
		return e.Fault, e.Sent
	}
	return Garbled, false
}
