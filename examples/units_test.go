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
	if regexp.MustCompile(`(?m)^SupplementaryGroups=`).MatchString(text) {
		t.Error("the unit does not start where there is no group of HAProxy's (216/GROUP)")
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

// TestNomadJob parses each job and looks for what makes it work: its tasks, slotsync as a sidecar that takes nothing down when
// it exits, an HAProxy that finishes what runs, and templates that are signalled, since file() would replace the allocation.
func TestNomadJob(t *testing.T) {
	for _, name := range examples(t, "*.nomad.hcl") {
		text := read(t, name)
		file, faults := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		group := find(t, find(t, file.Body.(*hclsyntax.Body), "job"), "group")
		slotsync := find(t, group, "task", "slotsync")
		restarted := slotsync
		if strings.Contains(text, `task "haproxy"`) {
			sidecar, faults := find(t, slotsync, "lifecycle").Attributes["sidecar"].Expr.Value(nil)
			if faults.HasErrors() || sidecar.False() {
				t.Errorf("%s: slotsync is no sidecar", name)
			}
			haproxy := find(t, group, "task", "haproxy")
			if word(t, haproxy, "kill_signal") != "SIGUSR1" || word(t, haproxy, "kill_timeout") != "30s" || word(t, find(t, haproxy, "template"), "change_signal") != "SIGUSR2" {
				t.Errorf("%s: HAProxy is not told to finish, or to reload", name)
			}
			if !strings.Contains(read(t, filepath.Join(filepath.Dir(name), "haproxy.cfg")), "\thard-stop-after 25s\n") {
				t.Errorf("%s: HAProxy may finish for longer than kill_timeout", name)
			}
		} else {
			restarted = group
		}
		if word(t, find(t, restarted, "restart"), "mode") != "delay" || word(t, find(t, slotsync, "template"), "change_signal") != "SIGHUP" {
			t.Errorf("%s: a slotsync that exits takes more with it, or is not told of a changed file", name)
		}
		if strings.Contains(text, "file(") {
			t.Errorf("%s: a changed file would replace the allocation", name)
		}
		for _, used := range regexp.MustCompile(`key \\"edge/([^"\\]+)`).FindAllStringSubmatch(text, -1) {
			read(t, filepath.Join(filepath.Dir(name), used[1]))
		}
	}
}

// word returns what a block says of a name.
func word(t *testing.T, body *hclsyntax.Body, name string) string {
	t.Helper()
	attribute := body.Attributes[name]
	if attribute == nil {
		return ""
	}
	value, faults := attribute.Expr.Value(nil)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return value.AsString()
}

// TestManifest: the ConfigMap of the manifest holds the files beside it.
func TestManifest(t *testing.T) {
	manifest := read(t, "sidecar/kubernetes.yaml")
	for _, name := range []string{"haproxy.cfg", "slotsync.yaml"} {
		var b strings.Builder
		_, text, _ := strings.Cut("\n"+read(t, filepath.Join("sidecar", name)), "# yaml-language-server: $schema=../../docs/slotsync.schema.json\n") // for editors
		if text == "" {
			text = read(t, filepath.Join("sidecar", name))
		}
		for line := range strings.Lines("\n" + text) {
			if strings.TrimSpace(line) != "" {
				b.WriteString("    ")
			}
			b.WriteString(line)
		}
		if !strings.Contains(manifest, "  "+name+": |"+b.String()) {
			t.Errorf("sidecar/kubernetes.yaml does not have %s as it is", name)
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
