package agent

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRunningTimesAreNotOfTheWallClock: while the agent runs it compares times that carry the
// monotonic reading of [time.Now], so that a wall clock that jumps changes nothing. Testing
// that takes a clock which jumps, and those of testing/synctest and of the kernel's namespaces
// do not; so whatever drops the reading is looked for in the text. What is stored has none:
// see TestClockWasAhead and its like.
func TestRunningTimesAreNotOfTheWallClock(t *testing.T) {
	drops := regexp.MustCompile(`\.(Round|Truncate)\(0\)|\.Unix(Nano|Milli|Micro)?\(\)|\btime\.(Unix|UnixMilli|UnixMicro|Date|Parse)\(`)
	may := map[string]bool{
		"event/log.go": true, // an id that is greater than those before a restart
	}
	files, err := filepath.Glob("*.go")
	more, err2 := filepath.Glob("*/*.go")
	if err != nil || err2 != nil || len(files) < 50 || len(more) < 50 {
		t.Fatalf("%d and %d files: %v, %v", len(files), len(more), err, err2)
	}
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "web/") || strings.HasPrefix(name, "client/") || may[name] {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if drops.MatchString(line) {
				t.Errorf("%s:%d: a time without its monotonic reading, which a jump of the wall clock moves: %s", name, n+1, strings.TrimSpace(line))
			}
		}
	}
}
