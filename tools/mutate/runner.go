package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const simulation = "./agent/simulation"

// hasSimulation reports whether there is a simulation with a test.
func hasSimulation(root string) bool {
	tests, err := filepath.Glob(filepath.Join(root, simulation, "*_test.go"))
	return err == nil && len(tests) > 0
}

type runner struct {
	options
	root      string
	out       io.Writer
	simulated bool
	simLimit  time.Duration // of one run of the simulation, by how long it takes without a change
}

// A result is what came of one mutant.
type result struct {
	by   []string // "seed 17 of the simulation", names of tests
	err  error    // it could not be tried
	said string   // by the go command, where it could not
}

func (r result) caught() bool { return len(r.by) > 0 }

func (r result) String() string {
	switch {
	case r.err != nil:
		return r.err.Error()
	case r.caught():
		return "caught by " + strings.Join(r.by, ", ")
	}
	return "SURVIVED"
}

// try breaks one rule, and asks the simulation and the tests.
func (r *runner) try(ctx context.Context, m mutant) result {
	overlay, drop, err := r.overlay(m)
	if err != nil {
		return result{err: err}
	}
	defer drop()
	var out result
	add := func(found outcome) bool {
		if found.broken != nil {
			out.err, out.said = found.broken, found.said
			return false
		}
		out.by = append(out.by, found.by...)
		return true
	}
	if r.simulated && m.isSimulated() && !add(r.simulate(ctx, overlay, m.seeds(r.options))) {
		return out
	}
	if r.sim {
		return out
	}
	for _, u := range m.tests {
		if !add(r.test(ctx, u, "-count=1", "-failfast", "-overlay="+overlay)) {
			return out
		}
	}
	return out
}

// overlay writes what tells the go command to read the changed file.
func (r *runner) overlay(m mutant) (path string, drop func(), err error) {
	text, err := m.apply(r.root)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", nil, err
	}
	drop = func() { os.RemoveAll(dir) }
	changed := filepath.Join(dir, filepath.Base(m.file))
	path = filepath.Join(dir, "overlay.json")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(r.root, m.file): changed}})
	err = errors.Join(err, os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(path, raw, 0o600))
	if err != nil {
		drop()
		return "", nil, err
	}
	return path, drop, nil
}

// simulate runs the simulation, which names the seed that failed.
func (r *runner) simulate(ctx context.Context, overlay string, seeds int) outcome {
	args := []string{"-run", "^TestSimulation$"}
	if overlay != "" {
		args = append(args, "-count=1", "-failfast", "-overlay="+overlay)
	}
	found := r.goTest(ctx, r.simLimit, append(args, simulation), "SLOTSYNC_SEEDS="+strconv.Itoa(seeds), "SLOTSYNC_SHRINK=no", "SLOTSYNC_PROCS=1")
	if len(found.by) > 0 {
		found.by = []string{cmp.Or(seedIn(found.said), found.by[0]+" in the simulation")}
	}
	return found
}

func (r *runner) test(ctx context.Context, u unit, more ...string) outcome {
	args := append([]string{"-run", u.pattern()}, more...)
	found := r.goTest(ctx, r.timeout, append(args, "./"+u.pkg))
	if found.broken == nil && hasNoTests(found.said) {
		found.broken = fmt.Errorf("%s has no test %s", u.pkg, u.run)
	}
	return found
}

// goTest runs go test with these arguments. What takes longer than limit has failed.
func (r *runner) goTest(ctx context.Context, limit time.Duration, args []string, env ...string) outcome {
	// what go test does not end by itself is ended here: it has been built by then
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-vet=off", "-timeout=" + limit.String()}, args...)...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.CombinedOutput()
	if context.Cause(ctx) == context.Canceled {
		return outcome{broken: ctx.Err()}
	}
	return understand(string(said), err)
}

// unbroken runs the same tests without a change: what fails then notices nothing.
func (r *runner) unbroken(ctx context.Context, chosen []mutant) error {
	names := map[string]map[string]bool{} // by package
	seeds := 0
	for _, m := range chosen {
		if m.isSimulated() {
			seeds = max(seeds, m.seeds(r.options))
		}
		for _, u := range m.tests {
			for _, n := range u.names() {
				if names[u.pkg] == nil {
					names[u.pkg] = map[string]bool{}
				}
				names[u.pkg][n] = true
			}
		}
	}
	complain := func(what string, found outcome) error {
		if found.broken == nil && len(found.by) > 0 {
			found.broken = errors.New("fails without a change: " + strings.Join(found.by, ", "))
		}
		if found.broken != nil {
			return fmt.Errorf("%s: %w\n%s", what, found.broken, found.said)
		}
		return nil
	}
	start := time.Now()
	if r.simulated && seeds > 0 {
		r.simLimit = time.Duration(seeds)*10*time.Second + r.timeout
		if err := complain(simulation, r.simulate(ctx, "", seeds)); err != nil {
			return err
		}
		r.simLimit = r.timeout + 4*time.Since(start)
	}
	if !r.sim {
		for _, pkg := range slices.Sorted(maps.Keys(names)) {
			u := unit{pkg, strings.Join(slices.Sorted(maps.Keys(names[pkg])), "|")}
			if err := complain(pkg, r.test(ctx, u)); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(r.out, "without a change everything passes (%s)\n", time.Since(start).Round(100*time.Millisecond))
	return nil
}
