package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// What somebody else has put into the state directory is not believed, and neither its
// files nor itself lead anywhere else.
func TestPlantedState(t *testing.T) {
	const planted = `{"version":1,"overrides":[{"backend":"web","address":"10.0.0.1:80","kind":"state","state":"maint"}]}`
	for name, c := range map[string]struct {
		mode   fs.FileMode
		dir    string // in the folder
		script string
	}{
		"a state":            {0o777, "", `printf %s "$2" >"$1/state.json"; printf %s "$2" >"$1/operators.json"`},
		"a sticky folder":    {0o777 | fs.ModeSticky, "", `printf %s "$2" >"$1/state.json"`},
		"a folder":           {0o777 | fs.ModeSticky, "slotsync", `mkdir -m 777 "$1/slotsync"; printf %s "$2" >"$1/slotsync/state.json"`},
		"a link to a folder": {0o777 | fs.ModeSticky, "slotsync", `ln -s "$3" "$1/slotsync"`},
		"links to a file":    {0o777, "", `ln -s "$3/victim" "$1/state.json"; ln -s "$3/victim" "$1/operators.json"`},
		"a FIFO":             {0o777, "", `mkfifo "$1/state.json" "$1/operators.json"`},
	} {
		t.Run(name, func(t *testing.T) {
			everybodys, victim := securedirtest.Folder(t, c.mode), securedirtest.Folder(t, 0o755)
			if err := os.WriteFile(filepath.Join(victim, "victim"), []byte(planted), 0o640); err != nil {
				t.Fatal(err)
			}
			securedirtest.Attack(t, c.script, everybodys, planted, victim)
			dir := filepath.Join(everybodys, c.dir)
			if s, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); !errors.Is(err, securedir.ErrUnsafe) || len(s.Overrides) > 0 {
				t.Errorf("loaded %+v, %v", s.Overrides, err)
			}
			if failed, err := writeFile(dir, stateFile, stored{Version: stateVersion}); !errors.Is(err, securedir.ErrUnsafe) || failed != 1 {
				t.Errorf("wrote: %v", err)
			}
			text, err := os.ReadFile(filepath.Join(victim, "victim"))
			info, statErr := os.Stat(victim)
			list, listErr := os.ReadDir(victim)
			if err := errors.Join(err, statErr, listErr); err != nil || string(text) != planted || info.Mode().Perm() != 0o755 || len(list) != 1 {
				t.Errorf("%v: %q, %v, %v", err, text, info.Mode(), list)
			}
		})
	}
}

// A folder that was everybody's and was mended may still have what others have put there.
func TestPlantedStateInAFolderThatWasMended(t *testing.T) {
	dir := securedirtest.Folder(t, 0o777)
	securedirtest.Attack(t, `echo '{"version":1}' >"$1/state.json"`, dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); !errors.Is(err, securedir.ErrUnsafe) {
		t.Errorf("got %v", err)
	}
	if _, err := writeFile(dir, stateFile, stored{Version: stateVersion}); err != nil {
		t.Error(err)
	}
	if _, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside); err != nil {
		t.Errorf("what was written after that: %v", err)
	}
}
