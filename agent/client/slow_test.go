package client

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestClientSaysWhatItWaitsFor wants a word about what takes long, and none about what
// does not.
func TestClientSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		c := &Client{Slow: func(question string) { told = append(told, question) }}
		answered := c.watch("soon")
		time.Sleep(1900 * time.Millisecond)
		answered()
		answered = c.watch("late")
		time.Sleep(time.Minute)
		answered()
		if want := []string{"late"}; !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
	})
	new(Client).watch("nobody wants to know")()
}
