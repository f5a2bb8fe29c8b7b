package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// imageArchive is what `make image` writes.
const imageArchive = "../../bin/slotsync.oci.tar"

// A podman is one with images, containers and volumes of its own, all of them in one folder.
type podman struct {
	t   *testing.T
	dir string
	env []string
}

// newPodman has podman do with what any machine has: runc, since crun refuses mixed
// cgroups, limits that need no rights, and copies instead of overlays.
func newPodman(t *testing.T) *podman {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss") // short: it is in paths of sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	containers := put("containers.conf", `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`)
	storage := put("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/root", dir+"/run"))
	p := &podman{t, dir, append(os.Environ(), "CONTAINERS_CONF="+containers, "CONTAINERS_STORAGE_CONF="+storage)}
	t.Cleanup(func() { _, _ = p.try("pod", "rm", "-fa", "-t", "0"); _, _ = p.try("rm", "-fa", "-t", "0") })
	return p
}

// try runs podman and returns what it printed.
func (p *podman) try(args ...string) (string, error) {
	cmd := exec.Command("podman", args...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// do is try, and fails the test if that fails.
func (p *podman) do(args ...string) string {
	p.t.Helper()
	out, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// importHAProxy makes an image of the HAProxy that make deps unpacked: it finds its loader
// and libraries by their whole path.
func (p *podman) importHAProxy(version string) {
	p.t.Helper()
	binary, err := filepath.Abs(haproxytest.Binary(p.t, version))
	if err != nil {
		p.t.Fatal(err)
	}
	archive := filepath.Join(p.dir, "haproxy.tar")
	if err := writeTree(archive, filepath.Dir(binary), map[string]string{"usr/local/sbin/haproxy": binary}); err != nil {
		p.t.Fatal(err)
	}
	p.do("import", "-q", "--change", "ENV PATH=/usr/local/sbin", archive, "docker.io/library/haproxy:"+version)
	if err := os.Remove(archive); err != nil {
		p.t.Fatal(err)
	}
}

// writeTree writes what of a folder a program needs to run as an archive, and links.
func writeTree(archive, folder string, links map[string]string) error {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer out.Close()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "/share/") {
			return err
		}
		return addFile(w, path)
	})
	for name, target := range links {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777})
		}
	}
	if err == nil {
		err = w.Close()
	}
	return err
}

func addFile(w *tar.Writer, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	head, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	head.Name = strings.TrimPrefix(path, "/")
	if err := w.WriteHeader(head); err != nil || link != "" {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// pid is the process of a container, as this name space sees it; 0 if it does not run.
func (p *podman) pid(container string) int {
	out, err := p.try("inspect", "-f", "{{.State.Pid}}", container)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(out)) // 0: it does not run
	return n
}

// another says whether a container runs, as another process than before.
func (p *podman) another(container string, before int) func() string {
	return func() string {
		if now := p.pid(container); now == 0 || now == before {
			return container + " has not been started again"
		}
		return ""
	}
}

// volume is where a volume is on the disk.
func (p *podman) volume(name string) string {
	p.t.Helper()
	return p.do("volume", "inspect", "-f", "{{.Mountpoint}}", name)
}

// servesAgain is like serves, of a HAProxy that may be away.
func servesAgain(t *testing.T, socket string, want ...string) func() string {
	t.Helper()
	slices.Sort(want)
	client, err := haproxy.New(haproxy.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		v, err := client.View(t.Context(), []string{"web"}, false)
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, s := range v.Servers["web"] {
			if s.Class == slots.Ready {
				got = append(got, s.Addr.String())
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Sprintf("%v are in service, want %v", got, want)
		}
		return ""
	}
}
