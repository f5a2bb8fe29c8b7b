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
	byName := regexp.MustCompile(`(?m)^(ExecStart|ExecReload)=slotsync `) // systemd knows where programs are
	if len(byName.FindAllString(text, -1)) != 2 {
		t.Fatal("ExecStart or ExecReload does not run slotsync by its name")
	}
	write(t, unit, byName.ReplaceAllString(text, "$1="+slotsync+" "))
	for _, name := range append(examples(t, "slotsync.service.conf"), "systemd/credentials.conf") {
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
	socket := filepath.Join(filepath.Dir(unit), "slotsync.socket")
	write(t, socket, read(t, "systemd/slotsync.socket"))
	verify = exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", socket)
	if output, err := verify.CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
	if strings.Contains(text, "Requires=haproxy") || strings.Contains(text, "BindsTo=") || strings.Contains(text, "PartOf=") {
		t.Error("the unit ties slotsync's life to HAProxy's")
	}
}

// TestSystemdHardens holds the unit to what its README says that it is exposed to.
func TestSystemdHardens(t *testing.T) {
	security := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=16", "systemd/slotsync.service")
	if output, err := security.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", security, err, output)
	}
	if !strings.Contains(read(t, "systemd/README.md"), "gives it 1.6") {
		t.Error("its README says another figure than 1.6")
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
