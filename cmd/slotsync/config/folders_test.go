package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// Nomad's folders are used although everybody can write to them; what slotsync makes in them
// is its own.
func TestNomadsFolders(t *testing.T) {
	alloc := securedirtest.Folder(t, 0o777)
	data := filepath.Join(alloc, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	env := Environment{"NOMAD_ALLOC_DIR": alloc, "NOMAD_ALLOC_ID": "x"}
	cfg := Config{StateDir: defaultStateDir(env), FolderPolicy: sharedFolders(env)}
	if err := cfg.CheckFolders(); err != nil {
		t.Error(err)
	}
	d, err := cfg.FolderPolicy.Make(cfg.StateDir, 0o750)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	delete(env, "NOMAD_ALLOC_ID") // anybody's variable
	cfg.FolderPolicy = sharedFolders(env)
	if err := cfg.CheckFolders(); err == nil || !strings.Contains(err.Error(), "state_dir: not safe to use") {
		t.Errorf("without Nomad: %v", err)
	}
	securedirtest.Attack(t, `mv "$1/slotsync" "$1/away"; mkdir -m 777 "$1/slotsync"; echo '{"version":1}' >"$1/slotsync/state.json"`, data)
	cfg.FolderPolicy = sharedFolders(Environment{"NOMAD_ALLOC_DIR": alloc, "NOMAD_ALLOC_ID": "x"})
	if err := cfg.CheckFolders(); err == nil || !strings.Contains(err.Error(), "slotsync belongs to nobody") {
		t.Errorf("another's in its place: %v", err)
	}
}
