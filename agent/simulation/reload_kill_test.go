package simulation

import (
	"testing"
	"time"
)

// TestReloadIsGoneOnWithAfterAKill: the files of the killed agent are copied for the next one,
// which has to find there what it would find in place.
func TestReloadIsGoneOnWithAfterAKill(t *testing.T) {
	const killBefore = 3 // of the faults of a reload
	does := func(verb string, c int) step { return step{verb: verb, c: c, pause: 15 * time.Second} }
	seen := newCoverage()
	broken := run(t, plan{
		setting: setting{
			Versions: []string{"3.0"}, Slots: 2, Reloads: true, Poll: 2 * time.Second, Timeout: 2 * time.Second,
			Backends: []backendSetting{{Feeds: []feedSetting{{Parts: 1, Full: 1}}}},
		},
		steps: []step{does("reload", 0), does("kill", 0), does("reload", 0), does("other template", 0), does("reload fails", killBefore), does("reload", 0), does("reload", 0)},
	}, seen, nil)
	if len(broken) > 0 || seen.states["reload recovered"] != 1 || seen.states["reload done"] != 4 {
		t.Errorf("%v, %d recovered, %d done", broken, seen.states["reload recovered"], seen.states["reload done"])
	}
}
