package slotsync_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestGatedTestsAreRun: tests that wait for a variable of a target of the Makefile are left out
// elsewhere, so CI or test-long has to make that target.
func TestGatedTestsAreRun(t *testing.T) {
	makefile, ci := readText(t, "Makefile"), readText(t, ".ci/run")
	targets := regexp.MustCompile(`(?m)^(test-[a-z]+):.*\n(?:\t.*\n)*?\t.*(SLOTSYNC_[A-Z]+)=1 go test`).FindAllStringSubmatch(makefile, -1)
	_, long, _ := strings.Cut(makefile, "\ntest-long:")
	long, _, _ = strings.Cut(long, "\n\n")
	gates := map[string]bool{}
	for _, target := range targets {
		gates[target[2]] = true
		if target[1] != "test-long" && !strings.Contains(ci, target[1]) && !strings.Contains(long, "$(MAKE) "+target[1]) {
			t.Errorf("nothing makes %s, and the tests behind %s are never run", target[1], target[2])
		}
	}
	for path, gate := range map[string]string{
		"tools/packaging/machine_test.go": "SLOTSYNC_MACHINE", "cmd/slotsync/e2e_container_test.go": "SLOTSYNC_CONTAINER", "cmd/slotsync/e2e_nomad_test.go": "SLOTSYNC_NOMAD",
	} {
		if !strings.Contains(readText(t, path), `"`+gate+`"`) || !gates[gate] {
			t.Errorf("%s waits for %s, and no target sets it: %v", path, gate, gates)
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
