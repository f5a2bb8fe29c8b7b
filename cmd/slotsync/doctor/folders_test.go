package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

func TestExamineFolders(t *testing.T) {
	open, closed := securedirtest.Folder(t, 0o777), securedirtest.Folder(t, 0o755)
	theirs, everybodys := securedirtest.Folder(t, 0o750), filepath.Join(closed, "slotsync.yaml")
	securedirtest.NeedsRoot(t, "it gives folders to another user")
	if err := errors.Join(os.WriteFile(everybodys, nil, 0o600), os.Chmod(everybodys, 0o602), os.Chown(theirs, securedirtest.Nobody, securedirtest.Nobody)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cfg  config.Config
		want []string
	}{
		{"nothing", config.Config{}, nil},
		{"closed", config.Config{File: closed + "/c", StateDir: closed, HTTP: config.HTTP{Socket: closed + "/s"}, Instances: []config.Instance{{StateFile: closed + "/{backend}/x", Real: closed + "/s"}},
			Reloads: []config.Reload{{Template: closed + "/t", File: closed + "/f"}}}, nil},
		{"of the unit's user", config.Config{StateDir: theirs, HTTP: config.HTTP{Socket: theirs + "/s"}, Instances: []config.Instance{{StateFile: theirs + "/servers/{backend}", Real: closed + "/s"}},
			Reloads: []config.Reload{{File: theirs + "/f"}}}, nil},
		{"not there yet", config.Config{StateDir: closed + "/a/b"}, nil},
		{"another's file", config.Config{Reloads: []config.Reload{{File: open + "/f"}}}, nil},
		{"open", config.Config{File: open + "/c", StateDir: open, HTTP: config.HTTP{Socket: open + "/s"}, Instances: []config.Instance{{Name: "a", StateFile: open + "/{backend}/x", Real: open + "/s"}},
			Reloads: []config.Reload{{Template: open + "/t", File: open + "/f"}}},
			[]string{"warn the configuration: not safe to use: " + open, "fail state_dir: not safe to use: " + open, "fail http.socket: ", "fail state_file of a: ", "fail reload.file: ", "warn reload.template: ", "warn the socket of a: everybody can write to " + open}},
		{"below open", config.Config{StateDir: open + "/a/b"}, []string{"fail state_dir: not safe to use: " + open + " can be written to by everybody: chmod go-w it"}},
		{"everybody's configuration", config.Config{File: everybodys}, []string{"warn the configuration " + everybodys + " can be written by everybody: who can change it decides"}},
		{"of an allocation", config.Config{StateDir: closed, HTTP: config.HTTP{Socket: open + "/s"},
			FolderPolicy: securedir.Policy{Shared: []string{open}}},
			[]string{"warn http.socket: every task of the allocation (or container of the pod) can write to " + open}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineFolders(&tt.cfg), tt.want) })
	}
}
