package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

func TestExamineFolders(t *testing.T) {
	open, closed := securedirtest.Folder(t, 0o777), securedirtest.Folder(t, 0o755)
	for _, tt := range []struct {
		name string
		cfg  config
		want []string
	}{
		{"nothing", config{}, nil},
		{"closed", config{stateDir: closed, http: httpConfig{socket: closed + "/s"}, instances: []instanceConfig{{stateFile: closed + "/{backend}/x", real: closed + "/s"}},
			reloads: []reloadConfig{{template: closed + "/t", file: closed + "/f"}}}, nil},
		{"not there yet", config{stateDir: closed + "/a/b"}, nil},
		{"another's file", config{reloads: []reloadConfig{{file: open + "/f"}}}, nil},
		{"open", config{stateDir: open, http: httpConfig{socket: open + "/s"}, instances: []instanceConfig{{name: "a", stateFile: open + "/{backend}/x", real: open + "/s"}},
			reloads: []reloadConfig{{template: open + "/t", file: open + "/f"}}},
			[]string{"fail state_dir: not safe to use: " + open, "fail http.socket: ", "fail state_file of a: ", "fail reload.file: ", "warn reload.template: ", "warn the socket of a: everybody can write to " + open}},
		{"below open", config{stateDir: open + "/a/b"}, []string{"fail state_dir: not safe to use: " + open + " can be written to by everybody: chmod go-w it"}},
		{"of an allocation", config{stateDir: closed, http: httpConfig{socket: open + "/s"},
			shared: sharedFolders(environment{"NOMAD_ALLOC_DIR": open, "NOMAD_ALLOC_ID": "x"})},
			[]string{"warn http.socket: every task of the allocation can write to " + open}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineFolders(&tt.cfg), tt.want) })
	}
}

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
	env := environment{"NOMAD_ALLOC_DIR": alloc, "NOMAD_ALLOC_ID": "x"}
	cfg := config{stateDir: defaultStateDir(env), shared: sharedFolders(env)}
	if err := cfg.refuseUnsafe(); err != nil {
		t.Error(err)
	}
	d, err := cfg.shared.Make(cfg.stateDir, 0o750)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	delete(env, "NOMAD_ALLOC_ID") // anybody's variable
	cfg.shared = sharedFolders(env)
	if err := cfg.refuseUnsafe(); err == nil || !strings.Contains(err.Error(), "state_dir: not safe to use") {
		t.Errorf("without Nomad: %v", err)
	}
	securedirtest.Attack(t, `mv "$1/slotsync" "$1/away"; mkdir -m 777 "$1/slotsync"; echo '{"version":1}' >"$1/slotsync/state.json"`, data)
	cfg.shared = sharedFolders(environment{"NOMAD_ALLOC_DIR": alloc, "NOMAD_ALLOC_ID": "x"})
	if err := cfg.refuseUnsafe(); err == nil || !strings.Contains(err.Error(), "slotsync belongs to nobody") {
		t.Errorf("another's in its place: %v", err)
	}
}
