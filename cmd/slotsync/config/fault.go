package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A place is where a value comes from: a line of the file, or the name of a
// variable or flag.
type place struct {
	line, col int
	name      string
}

// A fault is one thing that is wrong with the configuration.
type fault struct {
	place
	// path is what it is about, as in "backends[2].guard.window"; "" for the whole.
	path    string
	message string
}

// newFault returns a fault of path. What is in the file is named by its path as well.
func newFault(at place, path, format string, args ...any) fault {
	message := fmt.Sprintf(format, args...)
	if at.name == "" && path != "" {
		message = path + ": " + message
	}
	return fault{place: at, path: path, message: message}
}

// An Error is everything that is wrong with a configuration, by line.
type Error struct {
	file   string // "" if there is none
	faults []fault
}

// newError returns nil if there are no faults.
func newError(file string, faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	return sortedFaults(file, faults)
}

// sortedFaults has the faults by line, each once.
func sortedFaults(file string, faults []fault) *Error {
	faults = slices.Clone(faults)
	slices.SortStableFunc(faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(sortLine(a), sortLine(b)), cmp.Compare(a.col, b.col), cmp.Compare(a.message, b.message))
	})
	return &Error{file: file, faults: slices.Compact(faults)}
}

// sortLine puts what does not come from the file last.
func sortLine(f fault) int {
	if f.line == 0 {
		return int(^uint(0) >> 1)
	}
	return f.line
}

// Error returns one line for each fault.
func (e *Error) Error() string { return strings.Join(e.Lines(), "\n") }

// Lines returns one line for each fault.
func (e *Error) Lines() []string {
	lines := make([]string, len(e.faults))
	for i, f := range e.faults {
		lines[i] = e.where(f) + f.message
	}
	return lines
}

// Rows returns the faults as JSON has them.
func (e *Error) Rows() []FaultRow {
	rows := make([]FaultRow, len(e.faults))
	for i, f := range e.faults {
		rows[i] = FaultRow{Variable: f.name, Path: f.path, Text: f.message}
		if f.name == "" {
			rows[i].File, rows[i].Line, rows[i].Column = e.file, f.line, f.col
		}
	}
	return rows
}

func (e *Error) where(f fault) string {
	switch {
	case f.name != "":
		return f.name + ": "
	case e.file == "":
		return ""
	case f.line == 0:
		return e.file + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", e.file, f.line, f.col)
}

// A FaultRow is one fault of a configuration, as JSON.
type FaultRow struct {
	// File and Line are where it is, from 1; absent for what is not in a file, or about
	// the whole of it.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Variable is the one of the environment that it is in.
	Variable string `json:"variable,omitempty"`
	// Path is the key, as in "backends[2].guard.window"; absent for the whole.
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
}

// A UsageError says that what a user gave cannot be used, where that has no place in a
// file.
type UsageError struct{ Err error }

// Error returns what is wrong.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it was made of.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a [UsageError] of that text.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}
