package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// The exit codes of every command.
const (
	exitFine    = 0
	exitFailed  = 1
	exitUsage   = 2 // or configuration
	exitDiffers = 3
)

// An exitError ends a command with a code. Without err nothing is printed: the
// command has said it already.
type exitError struct {
	code int
	err  error
}

// Error returns what is printed.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the error that the code is for, nil if there is none.
func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode is what err stands for. Errors without a code of their own are
// failures.
func exitCode(err error) int {
	if err == nil {
		return exitFine
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	_, bad := errors.AsType[*config.Error](err)
	if _, ok := errors.AsType[*config.UsageError](err); ok || bad {
		return exitUsage
	}
	return exitFailed
}

// report prints err to w: one line, or one for each fault of a configuration. In systemd's
// journal they are errors.
func report(w io.Writer, err error) {
	priority := ""
	if daemon.IsJournal(w) {
		priority = daemon.ErrorPriority
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		for _, line := range e.Lines() {
			fmt.Fprintln(w, priority+line)
		}
		return
	}
	if e, ok := errors.AsType[*exitError](err); ok && e.err == nil {
		return
	}
	fmt.Fprintln(w, priority+"slotsync: "+textfmt.OneLine(errorText(err)))
}

// errorText is what err says, and where the right name is found if that is what is wrong.
func errorText(err error) string {
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, api.ErrNoVersion):
		return text + ": slotsync haproxy config history lists them"
	case errors.Is(err, api.ErrNoSection):
		return strings.TrimPrefix(text, api.ErrNoSection.Error()+": ") + " (slotsync haproxy config section list shows them)"
	default:
		return text
	}
}
