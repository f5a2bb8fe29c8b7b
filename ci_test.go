package slotsync_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
		made := regexp.MustCompile(`(?m)^make .*\b` + target[1] + `\b`).MatchString(ci)
		if target[1] != "test-long" && !made && !strings.Contains(long, "$(MAKE) "+target[1]) {
			t.Errorf("nothing makes %s, and the tests behind %s are never run", target[1], target[2])
		}
	}
	waits := regexp.MustCompile(`inPrivate\(t, "(SLOTSYNC_[A-Z]+)"\)|Getenv\("(SLOTSYNC_[A-Z]+)"\) == ""`)
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") || path == "ci_test.go" {
			return nil
		}
		for _, m := range waits.FindAllStringSubmatch(readText(t, path), -1) {
			found++
			if gate := m[1] + m[2]; !gates[gate] {
				t.Errorf("%s waits for %s, and no target sets it: %v", path, gate, gates)
			}
		}
		return nil
	})
	if err != nil || found < 4 {
		t.Errorf("%d tests wait for a variable, %v", found, err)
	}
}

// TestCIEndsWithItsVerdict: what .ci/run prints is for people; whether work lands is its exit code.
func TestCIEndsWithItsVerdict(t *testing.T) {
	for fails, wanted := range map[string]int{"": 0, "lint": 2, "test": 2, "test-systemd": 2, "bench": 0} {
		t.Run("fails="+fails, func(t *testing.T) {
			root := t.TempDir()
			write := func(path, text string) {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write(".ci/run", readText(t, ".ci/run"))
			write("tools/deps.sh", "#!/bin/sh\n")
			write("bin/go", "#!/bin/sh\n")
			write("bin/make", "#!/bin/sh\nfor word; do\n\t[ \"$word\" != \"$FAILS\" ] || exit 2\ndone\n")
			cmd := exec.Command(filepath.Join(root, ".ci/run"))
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"), "FAILS="+fails)
			said, err := cmd.CombinedOutput()
			verdict := "ci: lint and test passed"
			if wanted != 0 {
				verdict = "ci: lint and test FAILED"
			}
			if code := cmd.ProcessState.ExitCode(); code != wanted || !strings.Contains(string(said), verdict) {
				t.Errorf("ended with %d (%v), not %d and %q:\n%s", code, err, wanted, verdict, said)
			}
		})
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
