package main

import "fmt"

// A usageError says that what a user gave cannot be used, where that has no place in a
// file.
type usageError struct{ err error }

// Error returns what is wrong.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the error that it was made of.
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
