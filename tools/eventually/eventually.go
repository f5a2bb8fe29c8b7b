// Package eventually waits, in tests, for what other processes and goroutines do.
package eventually

import (
	"testing"
	"time"
)

// limit is how long a test waits for one thing.
const limit = 10 * time.Second

// True polls until done, and fails the test after 10 s. what is what is waited for.
func True(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %s: %s", limit, what)
		}
	}
}
