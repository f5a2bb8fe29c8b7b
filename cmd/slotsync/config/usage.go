package config

import "fmt"

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
