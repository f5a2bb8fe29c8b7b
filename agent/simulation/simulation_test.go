package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/agent/simulation/oracle"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(1000) // each seed leaves much behind
	if os.Getenv("SLOTSYNC_PROCS") == "1" {
		runtime.GOMAXPROCS(1) // goroutines that wait for one another all the time are three times as fast
	}
	goleak.VerifyTestMain(m)
}

// seedsOf returns the seeds to run: SLOTSYNC_SEEDS of them, from SLOTSYNC_SEED on.
func seedsOf(t *testing.T, usual int) []uint64 {
	t.Helper()
	number := func(name string, usual int) int {
		text := os.Getenv(name)
		if text == "" {
			return usual
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	first, n := number("SLOTSYNC_SEED", 1), number("SLOTSYNC_SEEDS", usual)
	var out []uint64
	for i := range n {
		out = append(out, uint64(first+i))
	}
	return out
}

// TestSimulation runs seeds in which faults never stop, and seeds in which they do. `make
// simulate SEEDS=20000` runs more; SLOTSYNC_SEED=7 SLOTSYNC_SEEDS=1 runs one, with its log
// under -v, and SLOTSYNC_STEPS gives it other steps. SLOTSYNC_SHRINK=no ends with the first
// seed that fails, as it is, and SLOTSYNC_SHRINK=all goes on.
func TestSimulation(t *testing.T) {
	seeds := seedsOf(t, 500)
	var found atomic.Bool
	for _, mode := range []string{"safety", "liveness"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			seen := newCoverage()
			begun := time.Now()
			for i, seed := range seeds {
				note(t, mode, seed)
				try(t, planned(t, seed, mode == "liveness"), seen)
				if t.Failed() {
					found.Store(true)
				}
				if found.Load() && os.Getenv("SLOTSYNC_SHRINK") != "all" {
					break // one seed is enough, of whichever mode
				}
				if (i+1)%1000 == 0 {
					fmt.Fprintf(os.Stderr, "%s: %d of %d seeds, %s\n", mode, i+1, len(seeds), time.Since(begun).Round(time.Second))
				}
			}
			t.Logf("%d seeds in %s\n%s", len(seeds), time.Since(begun).Round(time.Millisecond), seen)
		})
	}
}

// planned is the plan of a seed, with the steps of SLOTSYNC_STEPS if that is set, as they are
// printed.
func planned(t *testing.T, seed uint64, live bool) plan {
	t.Helper()
	p := planOf(seed, live)
	text := os.Getenv("SLOTSYNC_STEPS")
	if text == "" {
		return p
	}
	p.steps = nil
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.Fields(strings.Replace(line, ",", "", 1))
		if len(words) == 0 {
			continue
		}
		if len(words) < 5 {
			t.Fatalf("step %q", line)
		}
		n := len(words) - 4
		s := step{verb: strings.Join(words[:n], " ")}
		pause, err := time.ParseDuration(words[n+3])
		if _, err2 := fmt.Sscan(strings.Join(words[n:n+3], " "), &s.a, &s.b, &s.c); err != nil || err2 != nil {
			t.Fatalf("step %q: %v %v", line, err, err2)
		}
		s.pause = pause
		p.steps = append(p.steps, s)
	}
	return p
}

// note leaves the seed that runs where SLOTSYNC_RUNNING says, for the case that it ends the
// program.
func note(t *testing.T, mode string, seed uint64) {
	if path := os.Getenv("SLOTSYNC_RUNNING"); path != "" {
		if err := os.WriteFile(path+"."+mode, fmt.Appendf(nil, "%d\n", seed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// try runs a plan, and if it breaks something looks for a smaller one that does.
func try(t *testing.T, p plan, seen *coverage) {
	t.Helper()
	var log io.Writer
	if os.Getenv("SLOTSYNC_SEEDS") == "1" && testing.Verbose() {
		log = t.Output()
	}
	broken := run(t, p, seen, log)
	if len(broken) == 0 {
		return
	}
	if os.Getenv("SLOTSYNC_SHRINK") != "" {
		t.Errorf("seed %d: %s", p.seed, broken[0])
		return
	}
	small := shrink(t, p, broken[0].Rule)
	var text bytes.Buffer
	var history []oracle.Entry
	broken = runRecorded(t, small, newCoverage(), &text, func(e oracle.Entry) { history = append(history, e) })
	keepHistory(t, history)
	lines := strings.Split(text.String(), "\n")
	t.Errorf("seed %d: %s\n%s\nthe end of the log:\n%s", p.seed, list(broken), small, strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

func list(broken []oracle.Violation) string {
	var out []string
	for _, v := range broken[:min(len(broken), 5)] {
		out = append(out, v.String())
	}
	return strings.Join(out, "\n")
}

// shrink leaves steps out for as long as the same promise is broken, for a minute at most.
func shrink(t *testing.T, p plan, rule string) plan {
	end := time.Now().Add(time.Minute)
	breaks := func(steps []step) bool {
		q := p
		q.steps = steps
		broken := run(t, q, newCoverage(), nil)
		return len(broken) > 0 && broken[0].Rule == rule
	}
	for size := max(len(p.steps)/2, 1); size >= 1; size /= 2 {
		for i := 0; i+size <= len(p.steps) && time.Now().Before(end); {
			if rest := slices.Delete(slices.Clone(p.steps), i, i+size); breaks(rest) {
				p.steps = rest
			} else {
				i += size
			}
		}
	}
	return p
}

// keepHistory leaves a history where SLOTSYNC_HISTORY says.
func keepHistory(t *testing.T, history []oracle.Entry) {
	t.Helper()
	path := os.Getenv("SLOTSYNC_HISTORY")
	if path == "" {
		return
	}
	text, err := json.Marshal(history)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHistoryCanBeJudgedAgain: what a seed does depends on how goroutines are scheduled; its
// history does not, and is judged the same each time. SLOTSYNC_REPLAY names one that was
// kept to be judged instead.
func TestHistoryCanBeJudgedAgain(t *testing.T) {
	if path := os.Getenv("SLOTSYNC_REPLAY"); path != "" {
		text, err := os.ReadFile(path)
		var history []oracle.Entry
		if err == nil {
			err = json.Unmarshal(text, &history)
		}
		broken, err2 := oracle.Replay(history)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%d entries:\n%s", len(history), list(broken))
	}
	for seed := range uint64(4) {
		history := []oracle.Entry{}
		first := runRecorded(t, planOf(seed+1, seed%2 == 0), newCoverage(), nil, func(e oracle.Entry) { history = append(history, e) })
		// the same, and a command too many in the end
		at := history[0].Args[0]
		bad := append(slices.Clip(history), oracle.Entry{Name: "Quiet", Args: []json.RawMessage{at, []byte(`"a"`), []byte("1")}})
		again, err := oracle.Replay(history)
		worse, err2 := oracle.Replay(bad)
		if err != nil || err2 != nil || !slices.Equal(first, again) || len(worse) <= len(again) {
			t.Errorf("seed %d: %d entries: first %v, again %v, with one more %v; %v %v", seed+1, len(history), first, again, worse, err, err2)
		}
	}
}
