package discovery

import (
	"errors"
	"fmt"
	"time"
)

// A Class says what kind of trouble a source is in, and by that how soon it is
// asked again.
type Class string

// The classes, with examples.
const (
	Transport Class = "transport" // refused, reset, timeout, TLS
	Busy      Class = "busy"      // 429, 503: too many requests
	Server    Class = "server"    // no leader, SERVFAIL: it answers, and does not know
	Auth      Class = "auth"      // no or a wrong token, REFUSED
	Config    Class = "config"    // the question itself is wrong
	Protocol  Class = "protocol"  // the answer is not one: HTML, cut, too large
)

// Classes lists every class, for metrics that start at 0.
var Classes = [...]Class{Transport, Busy, Server, Auth, Config, Protocol}

// Backoff returns the first and the longest pause before a source in this kind
// of trouble is asked again.
func (c Class) Backoff() (first, most time.Duration) {
	switch c {
	case Busy:
		return 2 * time.Second, time.Minute
	case Auth:
		return 30 * time.Second, 5 * time.Minute
	case Config:
		return time.Minute, 10 * time.Minute
	}
	return time.Second, 30 * time.Second
}

// Passes reports whether this kind of trouble may be over at any time, for all
// sources of a system at once, without anybody mending their questions.
func (c Class) Passes() bool { return c == Transport || c == Server || c == Auth }

// An Error says that the endpoints are not known now. It never says that there
// are none.
type Error struct {
	Class Class
	Err   error
}

// Error returns the class and the cause, on one line of printable characters.
func (e *Error) Error() string { return string(e.Class) + ": " + Printable(e.Err.Error(), 200) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an [Error] of class c; format is as for [fmt.Errorf].
func Errorf(c Class, format string, args ...any) *Error {
	return &Error{Class: c, Err: fmt.Errorf(format, args...)}
}

// ClassOf returns the class of err: [Transport] if it has none.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Transport
}
