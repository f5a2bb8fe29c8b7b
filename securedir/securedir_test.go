package securedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

const nobody = securedirtest.Nobody

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// made makes a folder with that mode below dir.
func made(t *testing.T, dir, name string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.Mkdir(path, 0o700), os.Chmod(path, mode))
	return path
}

func TestOpen(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	for _, c := range []struct {
		name string
		// make returns the path that is opened.
		make func(t *testing.T, dir string) string
		want string // in the error; "": none
	}{
		{"ours", func(t *testing.T, dir string) string { return made(t, dir, "a", 0o755) }, ""},
		{"everybody's", func(t *testing.T, dir string) string { return made(t, dir, "a", 0o777) }, "a can be written to by everybody: chmod go-w it"},
		{"everybody's and sticky", func(t *testing.T, dir string) string { return made(t, dir, "a", 0o777|fs.ModeSticky) }, "a can be written to by everybody"},
		{"in everybody's", func(t *testing.T, dir string) string { return made(t, made(t, dir, "a", 0o777), "b", 0o700) }, "a can be written to by everybody"},
		{"in a sticky one", func(t *testing.T, dir string) string {
			return made(t, made(t, dir, "a", 0o777|fs.ModeSticky), "b", 0o700)
		}, ""},
		{"another group's", func(t *testing.T, dir string) string {
			path := made(t, dir, "a", 0o775)
			must(t, os.Chown(path, 0, nobody))
			return path
		}, "a can be written to by the group"},
		{"our group's", func(t *testing.T, dir string) string { return made(t, dir, "a", 0o775) }, ""},
		{"another user's", func(t *testing.T, dir string) string {
			path := made(t, dir, "a", 0o755)
			must(t, os.Chown(path, nobody, nobody))
			return path
		}, "a belongs to nobody, who can replace what is in it: chown it to root, or name another folder"},
		{"in another user's", func(t *testing.T, dir string) string {
			path := made(t, dir, "a", 0o755)
			below := made(t, path, "b", 0o700)
			must(t, os.Chown(path, nobody, nobody))
			return below
		}, "a belongs to nobody"},
		{"another user's in a sticky one", func(t *testing.T, dir string) string {
			path := made(t, made(t, dir, "a", 0o777|fs.ModeSticky), "b", 0o700)
			must(t, os.Chown(path, nobody, nobody))
			return path
		}, "b belongs to nobody"},
		{"our link", func(t *testing.T, dir string) string {
			made(t, dir, "a", 0o755)
			must(t, os.Symlink("a", filepath.Join(dir, "l")))
			return filepath.Join(dir, "l")
		}, ""},
		{"our link to everybody's", func(t *testing.T, dir string) string {
			made(t, dir, "a", 0o777)
			must(t, os.Symlink("../"+filepath.Base(dir)+"/a", filepath.Join(dir, "l")))
			return filepath.Join(dir, "l")
		}, "a can be written to by everybody"},
		{"a link in a sticky one", func(t *testing.T, dir string) string {
			open := made(t, dir, "a", 0o777|fs.ModeSticky)
			must(t, os.Symlink(made(t, dir, "b", 0o700), filepath.Join(open, "l")))
			return filepath.Join(open, "l")
		}, "l is a symbolic link, and others can write to"},
		{"a link of another user's", func(t *testing.T, dir string) string {
			must(t, os.Symlink(made(t, dir, "b", 0o700), filepath.Join(dir, "l")), os.Lchown(filepath.Join(dir, "l"), nobody, nobody))
			return filepath.Join(dir, "l")
		}, "l is a symbolic link"},
		{"a link to itself", func(t *testing.T, dir string) string {
			must(t, os.Symlink("l", filepath.Join(dir, "l")))
			return filepath.Join(dir, "l")
		}, "too many levels"},
		{"a file", func(t *testing.T, dir string) string {
			must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
			return filepath.Join(dir, "f")
		}, "not a directory"},
		{"nothing", func(t *testing.T, dir string) string { return filepath.Join(dir, "none") }, "no such file"},
		{"a relative path", func(*testing.T, string) string { return "a" }, "not an absolute path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.make(t, t.TempDir())
			d, err := Policy{}.Open(path)
			if err == nil {
				real, _ := filepath.EvalSymlinks(path)
				if d.Path() != real {
					t.Errorf("opened %s, not %s", d.Path(), real)
				}
				d.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v; want %q", err, c.want)
			}
			if err := (Policy{}).Check(path); (err == nil) != (c.want == "" || c.want == "no such file") {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// What Nomad makes for an allocation is used; what is in it is judged all the same.
func TestShared(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	top := made(t, t.TempDir(), "task", 0o777)
	alloc := made(t, top, "alloc", 0o777)
	data := made(t, alloc, "data", 0o777)
	must(t, os.Chown(alloc, nobody, nobody), os.Chown(data, nobody, nobody))
	p := Policy{Shared: []string{alloc, data}}
	if _, err := (Policy{}).Make(filepath.Join(data, "slotsync"), 0o750); !errors.Is(err, ErrUnsafe) {
		t.Errorf("without: %v", err)
	}
	for _, path := range []string{data, filepath.Join(data, "slotsync", "haproxy")} {
		d, err := p.Make(path, 0o750)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	must(t, os.Symlink("/etc", filepath.Join(data, "link")), os.Mkdir(filepath.Join(data, "theirs"), 0o700))
	must(t, os.Chown(filepath.Join(data, "theirs"), nobody, nobody))
	for _, name := range []string{"link", "theirs"} {
		if d, err := p.Make(filepath.Join(data, name), 0o750); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(data, "file")))
	if _, _, err := p.Locate(filepath.Join(data, "file")); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link to a file: %v", err)
	}
}

func TestCheckOfWhatIsNotThereYet(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	dir := t.TempDir()
	for _, c := range []struct {
		mode fs.FileMode
		good bool
	}{{0o755, true}, {0o777 | fs.ModeSticky, true}, {0o777, false}} {
		parent := made(t, dir, fmt.Sprint(c.mode), c.mode)
		err := Policy{}.Check(filepath.Join(parent, "x", "y"))
		if (err == nil) != c.good {
			t.Errorf("%v: %v", c.mode, err)
		}
		d, err := Policy{}.Make(filepath.Join(parent, "x", "y"), 0o750)
		if (err == nil) != c.good {
			t.Errorf("%v: %v", c.mode, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600), os.Symlink("f", filepath.Join(dir, "l")),
		os.Symlink(dir+"/l", filepath.Join(dir, "m")), os.Symlink("none", filepath.Join(dir, "n")), os.Symlink("no/where", filepath.Join(dir, "w")))
	for name, want := range map[string]string{"f": "f", "l": "f", "m": "f", "x": "x"} {
		d, got, err := Policy{}.Locate(filepath.Join(dir, name))
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		d.Close()
	}
	for _, name := range []string{"n", "w"} {
		if _, _, err := (Policy{}).Locate(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), "link to nowhere") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFiles(t *testing.T) {
	path := t.TempDir()
	d, err := Policy{}.Open(path)
	must(t, err)
	defer d.Close()
	must(t, os.WriteFile(filepath.Join(path, "victim"), []byte("precious"), 0o600), os.Symlink("victim", filepath.Join(path, "state")))
	if _, _, err := d.Read("state", 100); err == nil {
		t.Error("a link was read")
	}
	must(t, d.Replace("state", []byte("new"), Attributes{0o640, -1, -1}, nil))
	text, info, err := d.ReadOwn("state", 100)
	if string(text) != "new" || err != nil || info.Mode() != 0o640 {
		t.Errorf("%q, %v, %v", text, info, err)
	}
	if b, _ := os.ReadFile(filepath.Join(path, "victim")); string(b) != "precious" {
		t.Errorf("the link was followed: %q", b)
	}
	stop := errors.New("stop")
	if err := d.Replace("state", []byte("newer"), Private(), func() error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if text, _, _ := d.Read("state", 100); string(text) != "new" {
		t.Errorf("replaced all the same: %q", text)
	}
	if _, _, err := d.Read("state", 2); err == nil {
		t.Error("too much was read")
	}
	if list, err := d.Entries(); err != nil || len(list) != 2 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../x"} {
		if _, _, err := d.Read(name, 1); err == nil {
			t.Errorf("%q is read", name)
		}
	}
}

// A FIFO in place of a file neither hangs who reads nor who waits for the disk.
func TestFIFO(t *testing.T) {
	path := t.TempDir()
	d, err := Policy{}.Open(path)
	must(t, err)
	defer d.Close()
	must(t, syscall.Mkfifo(filepath.Join(path, "p"), 0o600))
	if _, _, err := d.Read("p", 100); err == nil {
		t.Error("a FIFO was read")
	}
	if _, err := d.Lock("p"); err == nil {
		t.Error("a FIFO is a lock")
	}
	f, err := d.Put(".s.new", "s", []byte("x"), Private())
	must(t, err)
	defer f.Close()
	must(t, os.Remove(filepath.Join(path, "s")), syscall.Mkfifo(filepath.Join(path, "s"), 0o600), f.Sync(), d.Sync())
}

func TestReadOwn(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	path := t.TempDir()
	d, err := Policy{}.Open(path)
	must(t, err)
	defer d.Close()
	for name, spoil := range map[string]func(string) error{
		"another user's": func(f string) error { return os.Chown(f, nobody, 0) },
		"everybody's":    func(f string) error { return os.Chmod(f, 0o666) },
		"a group's":      func(f string) error { return errors.Join(os.Chown(f, 0, nobody), os.Chmod(f, 0o660)) },
	} {
		file := filepath.Join(path, "f")
		must(t, os.WriteFile(file, []byte("x"), 0o600), spoil(file))
		if _, _, err := d.ReadOwn("f", 10); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.Remove(file))
	}
}

func TestLock(t *testing.T) {
	path := t.TempDir()
	d, err := Policy{}.Open(path)
	must(t, err)
	defer d.Close()
	f, err := d.Lock("lock")
	must(t, err)
	_, err = d.Lock("lock")
	if held, ok := errors.AsType[*HeldError](err); !ok || held.Pid != os.Getpid() || held.Host != "" {
		t.Errorf("held twice: %v", err)
	}
	f.Close()
	if f, err = d.Lock("lock"); err != nil {
		t.Error(err)
	}
	f.Close()
	must(t, os.Remove(filepath.Join(path, "lock")), os.Symlink("elsewhere", filepath.Join(path, "lock")))
	if _, err := d.Lock("lock"); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Lstat(filepath.Join(path, "elsewhere")); err == nil {
		t.Error("a file was made elsewhere")
	}
}
