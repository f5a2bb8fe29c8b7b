package web_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/web"
)

// TestClientSaysWhatItWaitsFor wants a word about what takes long, and none about what
// does not.
func TestClientSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		c := &web.Client{Slow: func(question string) { told = append(told, question) }}
		answered := c.Watch("soon")
		time.Sleep(1900 * time.Millisecond)
		answered()
		answered = c.Watch("late")
		time.Sleep(time.Minute)
		answered()
		if want := []string{"late"}; !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
	})
	new(web.Client).Watch("nobody wants to know")()
}
