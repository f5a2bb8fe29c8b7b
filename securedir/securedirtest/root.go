package securedirtest

import (
	"os"
	"testing"
)

// NeedsRoot skips a test that only root can do, and says what for. Where CI is set in the
// environment it fails instead: there nothing may be left out.
func NeedsRoot(tb testing.TB, what string) {
	tb.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		tb.Fatal("run this as root: " + what)
	default:
		tb.Skip("run this as root: " + what)
	}
}
