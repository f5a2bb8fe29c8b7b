package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// TestFind: what cannot be looked at is not passed over for a file of the folder where one
// stands, and that one is not used where somebody else can write it.
func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	file := func(path string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{"etc/slotsync.yaml", "slotsync.yaml"}
	check := func(want, fault string) {
		t.Helper()
		got, err := find("", paths)
		if got != want || (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("got %q, %v, want %q, %q", got, err, want, fault)
		}
	}
	check("", "")
	file("slotsync.yaml")
	check("slotsync.yaml", "")
	if err := os.Chmod("slotsync.yaml", 0o602); err != nil {
		t.Fatal(err)
	}
	check("", "./slotsync.yaml can be written by everybody: it is not used unless it is named with --config")
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod("slotsync.yaml", 0o600), os.Chown("slotsync.yaml", securedirtest.Nobody, -1)); err != nil {
			t.Fatal(err)
		}
		check("", "./slotsync.yaml belongs to nobody, who is neither root nor")
	}
	if got, err := find("slotsync.yaml", paths); got != "slotsync.yaml" || err != nil {
		t.Errorf("what is named: %q, %v", got, err)
	}
	file("etc") // a folder that cannot be looked into
	check("etc/slotsync.yaml", "")
	if err := os.Remove("etc"); err != nil {
		t.Fatal(err)
	}
	file("etc/slotsync.yaml")
	check("etc/slotsync.yaml", "")
}
