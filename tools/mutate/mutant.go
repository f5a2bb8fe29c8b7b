package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is the program with one rule broken.
type mutant struct {
	rule string // in plain words
	how  string // it is broken
	past bool   // it was so once
	file string // from the root of the module
	// edits are made in their order; each old text occurs exactly once.
	edits []edit
	tests []unit // that are to notice
}

// An edit puts other text in place of some.
type edit struct{ old, new string }

// A unit is tests of one package, separated by "|".
type unit struct{ pkg, run string }

// pattern is what go test -run takes.
func (u unit) pattern() string { return "^(" + u.run + ")$" }

func (u unit) names() []string { return strings.Split(u.run, "|") }

// table lists all mutants.
func table() []mutant {
	return slices.Concat(guardMutants(), sourceMutants(), discoveryMutants(), slotMutants(), haproxyMutants(),
		agentMutants(), operatorMutants(), stateMutants(), reloadMutants(), accessMutants())
}

// apply returns the text of the file with the rule broken.
func (m mutant) apply(root string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	text := string(raw)
	if len(m.edits) == 0 {
		return "", fmt.Errorf("%q changes nothing", m.rule)
	}
	for _, e := range m.edits {
		if n := strings.Count(text, e.old); n != 1 || e.old == e.new {
			return "", fmt.Errorf("the table does not fit any more: for %q, this is %d times in %s, not once:\n%s", m.rule, n, m.file, e.old)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}

// isSimulated reports whether the simulation runs what m changes.
func (m mutant) isSimulated() bool {
	return slices.Contains([]string{"agent", "agent/guard", "agent/override", "agent/placement", "agent/reconciler", "agent/reloadpolicy", "agent/sources", "agent/store", "slots", "slots/haproxy"}, path.Dir(m.file))
}

// seeds is how many seeds of the simulation m gets.
func (m mutant) seeds(o options) int {
	if m.past {
		return o.pastSeeds
	}
	return o.seeds
}

// moduleRoot is the folder above this one, or this one, that has a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, gone := os.Stat(filepath.Join(dir, "go.mod")); gone == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod in this folder or above it")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
