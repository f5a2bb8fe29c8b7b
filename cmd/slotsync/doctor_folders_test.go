package main

import (
	"testing"

	"github.com/slotsync/slotsync/securedir"
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
			shared: securedir.Policy{Shared: []string{open}}},
			[]string{"warn http.socket: every task of the allocation can write to " + open}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineFolders(&tt.cfg), tt.want) })
	}
}
