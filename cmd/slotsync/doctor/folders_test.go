package doctor

import (
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

func TestExamineFolders(t *testing.T) {
	open, closed := securedirtest.Folder(t, 0o777), securedirtest.Folder(t, 0o755)
	for _, tt := range []struct {
		name string
		cfg  config.Config
		want []string
	}{
		{"nothing", config.Config{}, nil},
		{"closed", config.Config{StateDir: closed, HTTP: config.HTTP{Socket: closed + "/s"}, Instances: []config.Instance{{StateFile: closed + "/{backend}/x", Real: closed + "/s"}},
			Reloads: []config.Reload{{Template: closed + "/t", File: closed + "/f"}}}, nil},
		{"not there yet", config.Config{StateDir: closed + "/a/b"}, nil},
		{"another's file", config.Config{Reloads: []config.Reload{{File: open + "/f"}}}, nil},
		{"open", config.Config{StateDir: open, HTTP: config.HTTP{Socket: open + "/s"}, Instances: []config.Instance{{Name: "a", StateFile: open + "/{backend}/x", Real: open + "/s"}},
			Reloads: []config.Reload{{Template: open + "/t", File: open + "/f"}}},
			[]string{"fail state_dir: not safe to use: " + open, "fail http.socket: ", "fail state_file of a: ", "fail reload.file: ", "warn reload.template: ", "warn the socket of a: everybody can write to " + open}},
		{"below open", config.Config{StateDir: open + "/a/b"}, []string{"fail state_dir: not safe to use: " + open + " can be written to by everybody: chmod go-w it"}},
		{"of an allocation", config.Config{StateDir: closed, HTTP: config.HTTP{Socket: open + "/s"},
			FolderPolicy: securedir.Policy{Shared: []string{open}}},
			[]string{"warn http.socket: every task of the allocation (or container of the pod) can write to " + open}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineFolders(&tt.cfg), tt.want) })
	}
}
