package slotsync_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pagesThatRun are the pages whose every block for a shell, marked sh, is run by a test.
var pagesThatRun = map[string]string{
	"docs/first-hour.md":           "TestPackageFirstHour",
	"docs/guides/consul.md":        "TestGuides",
	"docs/guides/dns.md":           "TestGuides",
	"docs/guides/two-haproxies.md": "TestGuides",
	"docs/operating.md":            "TestOperating",
	"docs/runbook.md":              "TestRunbookCommands",
}

// otherBlocks are the blocks with commands that are not run as they stand: what runs the same,
// or why nothing does.
var otherBlocks = map[string]string{
	"README.md: make demo":                                     "TestDemo plays it; make test is what runs this",
	"README.md: slotsync init":                                 "TestPackageFirstHour runs the same commands from docs/first-hour.md",
	"CONTRIBUTING.md: make deps":                               "what CI runs, one by one (.ci/run)",
	"CONTRIBUTING.md: make build":                              "TestDemo; the second is a test by itself",
	"CONTRIBUTING.md: SLOTSYNC_SEED=7":                         "TestSimulation with its own seeds",
	"CONTRIBUTING.md: SLOTSYNC_SHOTS":                          "TestTopAtBothSizes and TestPageAtBothSizes, without the pictures",
	"docs/operating.md: systemctl status slotsync":             "it needs systemd: TestSystemd looks at the status, reloads and reads the journal",
	"docs/proof.md: make mutate":                               "hours; make test-long runs a shorter form",
	"docs/set-up.md: make build":                               "it installs on the machine that runs it: TestPackages does, from packages",
	"docs/set-up.md: slotsync check":                           "TestGuides runs them, on the files of the page",
	"docs/set-up.md: sudo slotsync run":                        "TestGuides runs them, on the files of the page",
	"docs/guides/nomad.md: consul kv put":                      "it needs Nomad, which Debian has not: make test-nomad",
	"docs/guides/pod.md: make image":                           "TestContainer runs the manifest by podman; kubectl needs a cluster",
	"examples/consul/README.md: sudo cp haproxy.cfg":           "TestGuides runs what is slotsync's; it copies to where the machine has HAProxy's files",
	"examples/failover/README.md: slotsync check":              "TestSlotsyncAccepts checks the file; it needs two datacenters",
	"examples/files/README.md: sudo install":                   "TestGuides runs what is slotsync's; it copies to where the machine has HAProxy's files",
	"examples/managed-config/README.md: sudo install":          "TestSystemd does it, on a machine of its own",
	"examples/nomad-raw-exec/README.md: consul kv put":         "it needs Nomad: make test-nomad",
	"examples/nomad-services/README.md: nomad var put":         "it needs Nomad: make test-nomad",
	"examples/nomad/README.md: consul kv put":                  "it needs Nomad: make test-nomad",
	"examples/sidecar/README.md: make image":                   "TestContainer runs the manifest by podman; kubectl needs a cluster",
	"examples/systemd/README.md: sudo install -m 755":          "TestSystemd does it, on a machine of its own",
	"examples/systemd/README.md: sudo install -D -m 644 cred":  "TestSystemd does it, on a machine of its own",
	"examples/systemd/README.md: sudo install -m 644 slotsync": "TestSystemd does it, on a machine of its own",
	"examples/systemd/README.md: sudo install -D -m 644 slot":  "TestSystemd does it, on a machine of its own",
	"examples/two-instances/README.md: sudo install":           "TestGuides has the files and the commands",
}

// commandBlock is a block whose first line is a command.
var commandBlock = regexp.MustCompile(`(?m)^` + "```" + `([a-z]*)\n((?:[A-Z_]+=\S+ )*(?:sudo )?(?:bin/)?(?:slotsync|make|apt|sed|curl|systemctl|journalctl|consul|nomad|podman|kubectl|cp|install|go|cat|haproxy) .*)$`)

// TestEveryCommandBlockRuns: what a page has people type is run by a test, or stands here with
// the reason why it is not.
func TestEveryCommandBlockRuns(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/guides/*.md", "examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	files := readTests(t)
	known := func(test string) bool {
		return slices.ContainsFunc(files, func(f testFile) bool { return slices.Contains(f.functions, test) })
	}
	used := map[string]bool{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range commandBlock.FindAllStringSubmatch(string(text), -1) {
			if test := pagesThatRun[page]; test != "" && b[1] == "sh" {
				used[page] = true
				if !known(test) {
					t.Errorf("%s: there is no %s", page, test)
				}
				continue
			}
			key := ""
			for k := range otherBlocks {
				if strings.HasPrefix(page+": "+b[2], k) {
					key = k
				}
			}
			if key == "" {
				t.Errorf("%s: nothing runs the block that begins with %q, and no reason is given", page, b[2])
			}
			used[key] = true
		}
	}
	for key, reason := range otherBlocks {
		if !used[key] {
			t.Errorf("there is no block %q any more", key)
		}
		for _, test := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(reason, -1) {
			if !known(test) {
				t.Errorf("%s: there is no %s", key, test)
			}
		}
	}
	for page := range pagesThatRun {
		if !used[page] {
			t.Errorf("%s has no block for a shell", page)
		}
	}
}
