package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestSystemdAccepts(t *testing.T) {
	slotsync := buildSlotsync(t)
	unit := filepath.Join(t.TempDir(), "slotsync.service")
	text := read(t, "systemd/slotsync.service")
	if !strings.Contains(text, "ExecStart=/usr/local/bin/slotsync ") {
		t.Fatal("ExecStart is not /usr/local/bin/slotsync, which the README says")
	}
	write(t, unit, strings.ReplaceAll(text, "/usr/local/bin/slotsync", slotsync))
	for _, name := range examples(t, "slotsync.service.conf") {
		dropIn := filepath.Join(unit+".d", filepath.Dir(name)+".conf")
		if err := os.MkdirAll(filepath.Dir(dropIn), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dropIn, read(t, name))
	}
	verify := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
	if output, err := verify.CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze verify: %v (run make deps if it is missing)\n%s", err, output)
	}
	if strings.Contains(text, "Requires=haproxy") || strings.Contains(text, "BindsTo=") || strings.Contains(text, "PartOf=") {
		t.Error("the unit ties slotsync's life to HAProxy's")
	}
}

// TestNomadJob parses the job and looks for what makes it work: two tasks, slotsync as a sidecar, and the files beside it.
func TestNomadJob(t *testing.T) {
	for _, name := range examples(t, "*.nomad.hcl") {
		text := read(t, name)
		file, faults := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		group := find(t, find(t, file.Body.(*hclsyntax.Body), "job"), "group")
		var tasks []string
		for _, block := range group.Blocks {
			if block.Type == "task" {
				tasks = append(tasks, block.Labels...)
			}
		}
		if want := []string{"haproxy", "slotsync"}; !slices.Equal(tasks, want) {
			t.Errorf("%s: tasks %v, want %v", name, tasks, want)
		}
		lifecycle := find(t, find(t, group, "task", "slotsync"), "lifecycle")
		if sidecar, faults := lifecycle.Attributes["sidecar"].Expr.Value(nil); faults.HasErrors() || sidecar.False() {
			t.Errorf("%s: slotsync is no sidecar", name)
		}
		for _, used := range regexp.MustCompile(`file\("([^"]+)"\)`).FindAllStringSubmatch(text, -1) {
			read(t, filepath.Join(filepath.Dir(name), used[1]))
		}
	}
}

// find returns the only block of a type, with these labels if any are given.
func find(t *testing.T, body *hclsyntax.Body, kind string, labels ...string) *hclsyntax.Body {
	t.Helper()
	var found []*hclsyntax.Block
	for _, block := range body.Blocks {
		if block.Type == kind && (len(labels) == 0 || slices.Equal(block.Labels, labels)) {
			found = append(found, block)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks %s %v, want one", len(found), kind, labels)
	}
	return found[0].Body
}
