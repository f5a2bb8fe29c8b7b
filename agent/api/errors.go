package api

import (
	"errors"

	"github.com/slotsync/slotsync/slots"
)

// What an operator's request can fail with besides the context's error. Errors
// that wrap them say which backend was meant.
var (
	// ErrNoBackend: no backend has this name.
	ErrNoBackend = errors.New("no such backend")
	// ErrNoSubject: this is neither an address nor a slot of the backend.
	ErrNoSubject = errors.New("no such address or slot")
	// ErrNoInstance: no instance has this name.
	ErrNoInstance = errors.New("no such instance")
	// ErrNoServer: the backend has no endpoint or slot of this name.
	ErrNoServer = errors.New("no such server")
	// ErrDiscovered: a source lists the endpoint, so that it cannot be removed here.
	ErrDiscovered = errors.New("a source lists this endpoint: drain or stop it instead")
	// ErrOverruled: something else that an operator asked for still holds.
	ErrOverruled = errors.New("another override holds it")
	// ErrNotPaused: there is no such pause.
	ErrNotPaused = errors.New("not paused")
	// ErrBadRequest: what is asked for makes no sense; the error says why.
	ErrBadRequest = errors.New("cannot be done")
	// ErrNothingHeld: the guard holds nothing back that could be accepted.
	ErrNothingHeld = errors.New("nothing is held")
	// ErrNoSuchID: nothing that may go was shown under this id; the error names those
	// that are.
	ErrNoSuchID = errors.New("no such id")
	// ErrNoReload: the configuration says no way to reload HAProxy.
	ErrNoReload = errors.New("no reload is configured: set `reload:`")
	// ErrReloading: one reload is done at a time.
	ErrReloading = errors.New("a reload of HAProxy is under way: ask again when it is over")
	// ErrNoVersion: no such version of HAProxy's configuration is kept.
	ErrNoVersion = slots.ErrNoVersion
	// ErrChanged: HAProxy's configuration is not the one that was meant.
	ErrChanged = slots.ErrConfigChanged
	// ErrNotKept: no versions of HAProxy's configuration are kept, so it is not edited.
	ErrNotKept = slots.ErrNotKept
	// ErrNoSection: HAProxy's configuration has no such section.
	ErrNoSection = slots.ErrNoSection
	// ErrBadSection: what was given is not that section and nothing else.
	ErrBadSection = slots.ErrBadSection
	// ErrNotStored: what was asked for is in force and could not be stored: it is lost with
	// the next restart, unless a later try succeeds.
	ErrNotStored = errors.New("in force, and lost at the next restart: it could not be stored")
	// ErrStopped: the loop does not run yet, or not any more.
	ErrStopped = errors.New("the agent is starting or stopping")
	// ErrExamining: one examination is made at a time.
	ErrExamining = errors.New("the agent examines itself already: ask again when that is over")
	// ErrManyReaders: no more can be told of events at a time.
	ErrManyReaders = errors.New("too many read events already")
)
