package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	_, dir := stateFromEnvironment(env)
	cfg := Config{StateDir: dir, FolderPolicy: sharedFolders(env, "")}
	if err := cfg.PrepareFolders(); err != nil {
		t.Error(err)
	}
	d, err := cfg.FolderPolicy.Make(cfg.StateDir, 0o750)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	delete(env, "NOMAD_ALLOC_ID") // anybody's variable
	cfg.FolderPolicy = sharedFolders(env, "")
	if err := cfg.PrepareFolders(); err == nil || !strings.Contains(err.Error(), "state_dir: not safe to use") {
		t.Errorf("without Nomad: %v", err)
	}
	securedirtest.Attack(t, `mv "$1/slotsync" "$1/away"; mkdir -m 777 "$1/slotsync"; echo '{"version":1}' >"$1/slotsync/state.json"`, data)
	cfg.FolderPolicy = sharedFolders(Environment{"NOMAD_ALLOC_DIR": alloc, "NOMAD_ALLOC_ID": "x"}, "")
	if err := cfg.PrepareFolders(); err == nil || !strings.Contains(err.Error(), "slotsync belongs to nobody") {
		t.Errorf("another's in its place: %v", err)
	}
}

// The folder of secrets is Nomad's only where Nomad says so.
func TestPrivateFolder(t *testing.T) {
	for want, env := range map[string]Environment{
		"/secrets": {"NOMAD_SECRETS_DIR": "/secrets/", "NOMAD_ALLOC_ID": "x"},
		"":         {"NOMAD_SECRETS_DIR": "/secrets"},
	} {
		if got := privateFolder(env); got != want {
			t.Errorf("%v: got %q", env, got)
		}
	}
}

// Volumes of a pod are used although everybody can write to them; nothing else that is
// mounted is.
func TestPodsFolders(t *testing.T) {
	const pods = "/var/lib/kubelet/pods/9f1c/volumes"
	mounts := "1 0 0:1 / / rw - overlay overlay rw\n" +
		"2 1 8:1 " + pods + "/kubernetes.io~empty-dir/run /run/haproxy rw - ext4 /dev/sda1 rw\n" +
		"3 1 8:1 " + pods + "/kubernetes.io~empty-dir/a\\040b /a\\040b rw - ext4 /dev/sda1 rw\n" +
		"4 1 8:1 " + pods + "/kubernetes.io~empty-dir/run/below /below rw - ext4 /dev/sda1 rw\n" +
		"5 1 8:1 " + pods + "/kubernetes.io~configmap/config /etc/slotsync ro - ext4 /dev/sda1 rw\n" +
		"6 1 8:1 /srv/kubernetes.io~empty-dir/x /x rw - ext4 /dev/sda1 rw\n" +
		"7 1 8:1\n"
	got := sharedFolders(Environment{}, mounts).Shared
	if want := []string{"/run/haproxy", "/a b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The folder of state files is made, with the rights that HAProxy's group needs; where it
// cannot be made the start is refused.
func TestStateFoldersAreMade(t *testing.T) {
	dir := securedirtest.Folder(t, 0o755)
	cfg := Config{Instances: []Instance{{Name: "none"}, {Name: "edge", StateFile: filepath.Join(dir, "a", "b", "{backend}", "x")}}}
	if err := cfg.PrepareFolders(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a", "b")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("got %v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Instances[1].StateFile = filepath.Join(dir, "file", "below", "{backend}")
	err := cfg.PrepareFolders()
	if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), "state_file of edge: ") {
		t.Errorf("got %v", err)
	}
}

// TestOwner: root goes by what it has given the agent's user; for reloads only where that user may
// replace HAProxy's file as well.
func TestOwner(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives folders to another user")
	given, own := securedirtest.Folder(t, 0o750), securedirtest.Folder(t, 0o755)
	if err := os.Chown(given, securedirtest.Nobody, securedirtest.Nobody); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]*Config{
		"by its state":  {StateDir: given},
		"by its socket": {HTTP: HTTP{Socket: filepath.Join(given, "s")}},
	} {
		cfg.FolderPolicy.Owner = cfg.Owner()
		if o := cfg.FolderPolicy.Owner; o == nil || o.UID != securedirtest.Nobody {
			t.Fatalf("%s: %v", name, o)
		}
		if err := cfg.PrepareFolders(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if theirs := cfg.ReloadPolicy(Reload{File: filepath.Join(given, "haproxy.cfg")}); theirs.Owner == nil {
			t.Errorf("%s: a file in the agent's folder is not the agent's to replace", name)
		}
		if roots := cfg.ReloadPolicy(Reload{File: filepath.Join(own, "haproxy.cfg")}); roots.Owner != nil {
			t.Errorf("%s: what the agent's user has kept would become root's", name)
		}
		cfg.HTTP.Socket = filepath.Join(given, "s")
		if uid, gid := cfg.SocketOwner(); uid != securedirtest.Nobody || gid != securedirtest.Nobody {
			t.Errorf("%s: the socket would be %d:%d", name, uid, gid)
		}
	}
	cfg := &Config{StateDir: own, HTTP: HTTP{Socket: filepath.Join(given, "s")}}
	if o := cfg.Owner(); o != nil {
		t.Errorf("state of root's own: %v", *o)
	}
	if uid, _ := cfg.SocketOwner(); uid != 0 {
		t.Errorf("the socket would be user %d's", uid)
	}
}
