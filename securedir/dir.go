package securedir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Dir is an open folder. Names of files are names in it, without a slash. Its methods
// may be called by several goroutines.
type Dir struct {
	file   *os.File
	path   string // without links
	policy Policy
	uid    uint32 // whose it is
	open   bool   // others may write to it: it is one of Policy.Shared
}

// Path returns the path of the folder when it was opened, without symbolic links.
func (d *Dir) Path() string { return d.path }

// UID is the user whom the folder belongs to.
func (d *Dir) UID() uint32 { return d.uid }

// Close ends the use of the folder.
func (d *Dir) Close() error { return d.file.Close() }

// Attributes are what a file is made with.
type Attributes struct {
	Mode fs.FileMode
	// UID and GID are the owner and group; -1: those of the process.
	UID, GID int
}

// Private is for what only this user reads.
func Private() Attributes { return Attributes{0o600, -1, -1} }

func (d *Dir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

func (d *Dir) openat(name string, flags int, mode fs.FileMode) (*os.File, error) {
	if name == "" || name != filepath.Base(name) {
		return nil, d.fail("open", name, fs.ErrInvalid)
	}
	fd, err := unix.Openat(int(d.file.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// link returns where the symbolic link of that name leads; "" if it is none. A link in a
// folder that others can write to is an error.
func (d *Dir) link(name string) (string, error) {
	target, err := readLink(int(d.file.Fd()), name)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return "", nil
	case err != nil:
		return "", d.fail("readlink", name, err)
	case d.open, d.policy.owns(d.uid):
		return "", fmt.Errorf("%w: %s is a symbolic link in a folder that others can write to", ErrUnsafe, filepath.Join(d.path, name))
	}
	return target, nil
}

// Stat describes what has that name, itself where it is a link.
func (d *Dir) Stat(name string) (fs.FileInfo, error) {
	f, err := d.openat(name, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// Read returns a regular file of at most limit bytes, whoever owns it.
func (d *Dir) Read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	return d.read(name, limit, nil)
}

// ReadOwn is like Read, for what this program wrote itself: a file that others own or may
// write to is an error.
func (d *Dir) ReadOwn(name string, limit int64) ([]byte, fs.FileInfo, error) {
	return d.read(name, limit, d.own)
}

// own says why a file is not this program's alone. In a folder of another user's it may be a second
// name of one that is root's.
func (d *Dir) own(f *os.File, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !d.policy.trusted(stat.Uid) {
		return fmt.Errorf("%w: %s belongs to another user: remove it, or chown it", ErrUnsafe, f.Name())
	}
	if stat.Nlink > 1 && d.policy.owns(d.uid) {
		return fmt.Errorf("%w: %s has another name, too: remove it", ErrUnsafe, f.Name())
	}
	if who := d.policy.others(int(f.Fd()), stat.Mode, stat.Gid); who != "" {
		return fmt.Errorf("%w: %s can be written to by %s: remove it, or chmod it", ErrUnsafe, f.Name(), who)
	}
	return nil
}

// openOwn opens a file to write to, and makes it with that mode if there is none.
func (d *Dir) openOwn(name string, flags int, mode fs.FileMode) (*os.File, fs.FileInfo, error) {
	f, err := d.openat(name, unix.O_RDWR|unix.O_CREAT|flags, mode)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", f.Name())
	}
	if err == nil {
		err = d.own(f, info)
	}
	if like := d.attributes(Attributes{mode, -1, -1}); err == nil && info.Size() == 0 && like.UID >= 0 {
		err = give(f, like)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// attributes are like, with the owner that files in the folder are to have.
func (d *Dir) attributes(like Attributes) Attributes {
	if like.UID < 0 && d.policy.owns(d.uid) {
		like.UID, like.GID = int(d.policy.Owner.UID), int(d.policy.Owner.GID)
	}
	return like
}

// Append adds a line at the end of a file, which it makes with that mode if there is none. It
// returns nil when that survives a loss of power. A line that was cut short before is ended first.
// A line that could be written in part alone is taken back. One that was written and then could
// not be synced stays: whether it survives is not known.
func (d *Dir) Append(name string, line []byte, mode fs.FileMode) error {
	f, info, err := d.openOwn(name, unix.O_APPEND, mode)
	if err != nil {
		return err
	}
	err = appendTo(f, info.Size(), line)
	if err == nil && info.Size() == 0 { // it may have been made just now, here or by whoever rotates it
		err = d.Sync()
	}
	return errors.Join(err, f.Close())
}

func appendTo(f *os.File, size int64, line []byte) error {
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	n, err := f.Write(line)
	if err == nil {
		return f.Sync()
	}
	if info, failed := f.Stat(); failed == nil && n > 0 && info.Size() == size+int64(n) {
		err = errors.Join(err, f.Truncate(size))
	}
	return err
}

func (d *Dir) read(name string, limit int64, judge func(*os.File, fs.FileInfo) error) ([]byte, fs.FileInfo, error) {
	f, err := d.openat(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return readRegular(f, limit, judge)
}

// Rename gives a file another name.
func (d *Dir) Rename(from, to string) error {
	if err := unix.Renameat(int(d.file.Fd()), from, int(d.file.Fd()), to); err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(d.path, from), New: filepath.Join(d.path, to), Err: err}
	}
	return nil
}

// Link gives a file a second name.
func (d *Dir) Link(from, to string) error {
	if err := unix.Linkat(int(d.file.Fd()), from, int(d.file.Fd()), to, 0); err != nil {
		return &os.LinkError{Op: "link", Old: filepath.Join(d.path, from), New: filepath.Join(d.path, to), Err: err}
	}
	return nil
}

// Remove removes a file. That there is none is no error.
func (d *Dir) Remove(name string) error {
	if err := unix.Unlinkat(int(d.file.Fd()), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return d.fail("remove", name, err)
	}
	return nil
}

// Entries lists what is in the folder, by name.
func (d *Dir) Entries() ([]fs.DirEntry, error) {
	fd, err := unix.Openat(int(d.file.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // a reader of its own
	if err != nil {
		return nil, d.fail("open", "", err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	list, err := f.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, cmp.Or(err, f.Close())
}

// Sync makes names that were made, changed and removed survive a loss of power.
func (d *Dir) Sync() error { return d.file.Sync() }

// Own makes the folder this user's alone.
func (d *Dir) Own() error { return d.file.Chmod(0o700) }
