// Package securedir reads and replaces files in folders that nobody else can write to.
//
// A path is walked from / one name at a time, by descriptor. Whoever may write to a folder
// on the way can put something else in place of what follows, so each has to belong to
// root or to this user, and others must not write to it. A sticky folder, as /tmp, is good
// enough on the way, since nobody else can replace there what is ours, but not at the end.
// Symbolic links are followed where only root and this user can have made them. Files are
// then opened relative to the descriptor of the folder, which no later change of the path
// redirects, and never through a link.
//
// Linux only.
package securedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsafe says that others can change what is in a folder, or what a path leads to.
var ErrUnsafe = errors.New("not safe to use")

// maxLinks is how many symbolic links one path may have, as in the kernel.
const maxLinks = 40

// A Policy says which folders are good enough. The zero value is the strict one.
type Policy struct {
	// Shared lists folders that are used although others may write to them, as those
	// that Nomad makes for all tasks of an allocation. Their parents go with them. What
	// is below them is judged as everything else is, and links in them are not followed.
	Shared []string
	// Owner is a user besides root and this one whose folders are used: see [GivenTo]. What root
	// makes in them belongs to that user. nil: there is none.
	Owner *Owner
}

// Open opens the folder at path.
func (p Policy) Open(path string) (*Dir, error) { return p.Make(path, 0) }

// Make is like Open, and makes the folders that lack, with that mode less the umask.
func (p Policy) Make(path string, mode fs.FileMode) (*Dir, error) {
	w, err := p.walk(path, mode)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return w.dir()
}

// Locate opens the folder of a file and returns the file's name in it. Where the file is a
// symbolic link, they are those of what it leads to. The file itself need not be there;
// that a link leads nowhere is an error.
func (p Policy) Locate(file string) (*Dir, string, error) {
	at := file
	for range maxLinks {
		d, target, err := p.follow(at)
		switch {
		case at != file && errors.Is(err, fs.ErrNotExist):
			return nil, "", fmt.Errorf("%s is a symbolic link to nowhere", file)
		case err != nil:
			return nil, "", err
		case target != "":
			at = target
			continue
		case at != file:
			if _, err := d.Stat(filepath.Base(at)); errors.Is(err, fs.ErrNotExist) {
				return nil, "", errors.Join(fmt.Errorf("%s is a symbolic link to nowhere", file), d.Close())
			}
		}
		return d, filepath.Base(at), nil
	}
	return nil, "", &fs.PathError{Op: "open", Path: file, Err: unix.ELOOP}
}

// follow opens the folder of a file, or says where the file leads if it is a link.
func (p Policy) follow(file string) (*Dir, string, error) {
	d, err := p.Open(filepath.Dir(file))
	if err != nil {
		return nil, "", err
	}
	target, err := d.link(filepath.Base(file))
	if err == nil && target == "" {
		return d, "", nil
	}
	if target != "" && !filepath.IsAbs(target) {
		target = filepath.Join(d.path, target)
	}
	return nil, target, errors.Join(err, d.Close())
}

// Check says what is wrong with the folder at path, or, as long as that is not there, with
// the nearest one around it that is.
func (p Policy) Check(path string) error {
	for at := path; ; at = filepath.Dir(at) {
		w, err := p.walk(at, 0)
		if err == nil {
			defer w.close()
			return w.judge(at != path)
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return err
		}
	}
}

// shared reports whether the folder at path is one of Shared or around one.
func (p Policy) shared(path string) bool {
	return slices.ContainsFunc(p.Shared, func(s string) bool {
		return s == path || path == "/" || strings.HasPrefix(s, path+"/")
	})
}

// A walker is on its way along a path.
type walker struct {
	Policy
	fd   int    // of the folder that was reached
	path string // of it, without links
	stat unix.Stat_t
	made fs.FileMode // of folders that lack; 0: none is made
}

// walk goes to the folder at path. All that it passes is judged; what it reaches is not
// judged as the last one yet.
func (p Policy) walk(path string, made fs.FileMode) (*walker, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is not an absolute path", path)
	}
	w := &walker{Policy: p, fd: -1, made: made}
	if err := w.toRoot(); err != nil {
		return nil, err
	}
	links := 0
	for names := split(path); len(names) > 0; {
		target, err := w.enter(names[0])
		if err == nil && target != "" {
			if links++; links > maxLinks {
				err = &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
			} else if filepath.IsAbs(target) {
				err = w.toRoot()
			}
		}
		if err != nil {
			w.close()
			return nil, err
		}
		names = append(split(target), names[1:]...)
	}
	return w, nil
}

// split lists the names of a path. It keeps "..", which is not what it looks like behind a
// link.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

func (w *walker) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
		w.fd = -1
	}
}

func (w *walker) toRoot() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	return w.stand(fd, "/")
}

// stand makes fd the folder that was reached.
func (w *walker) stand(fd int, path string) error {
	w.close()
	w.fd, w.path = fd, path
	if err := unix.Fstat(fd, &w.stat); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return nil
}

// enter goes on to name. If that is a link it stays and returns where it leads.
func (w *walker) enter(name string) (target string, err error) {
	path := filepath.Join(w.path, name)
	if err := w.judge(true); err != nil {
		return "", err
	}
	fd, err := w.open(name, path)
	if err != nil {
		return "", err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		unix.Close(fd)
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "", w.stand(fd, path)
	case unix.S_IFLNK:
		defer unix.Close(fd)
		if w.others(w.fd, w.stat.Mode, w.stat.Gid) != "" || !w.trusted(stat.Uid) {
			return "", fmt.Errorf("%w: %s is a symbolic link, and others can write to %s: name the folder that it leads to", ErrUnsafe, path, w.path)
		}
		if w.owns(w.stat.Uid) || w.owns(stat.Uid) {
			return "", fmt.Errorf("%w: %s is a symbolic link, which %s can lead anywhere: root does not follow it; name the folder that it leads to", ErrUnsafe, path, UserName(w.Owner.UID))
		}
		if target, err = readLink(fd, ""); err != nil {
			err = &fs.PathError{Op: "readlink", Path: path, Err: err}
		}
		return target, err
	}
	unix.Close(fd)
	return "", &fs.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
}

func (w *walker) open(name, path string) (int, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(w.fd, name, flags, 0)
	if errors.Is(err, unix.ENOENT) && w.made != 0 {
		made := unix.Mkdirat(w.fd, name, uint32(w.made.Perm()))
		if made != nil && !errors.Is(made, unix.EEXIST) {
			return -1, &fs.PathError{Op: "mkdir", Path: path, Err: made}
		}
		if fd, err = unix.Openat(w.fd, name, flags|unix.O_DIRECTORY, 0); err == nil && made == nil && w.owns(w.stat.Uid) {
			err = unix.Fchownat(fd, "", int(w.Owner.UID), int(w.Owner.GID), unix.AT_EMPTY_PATH)
		}
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// judge says what is wrong with the folder that was reached; passing says whether it is
// only on the way.
func (w *walker) judge(passing bool) error {
	if w.shared(w.path) {
		return nil
	}
	if !w.trusted(w.stat.Uid) {
		return fmt.Errorf("%w: %s belongs to %s, who can replace what is in it: chown it to %s, or name another folder",
			ErrUnsafe, w.path, UserName(w.stat.Uid), w.users())
	}
	if who := w.others(w.fd, w.stat.Mode, w.stat.Gid); who != "" && (!passing || w.stat.Mode&unix.S_ISVTX == 0) {
		return fmt.Errorf("%w: %s can be written to by %s: chmod go-w it, or name another folder", ErrUnsafe, w.path, who)
	}
	return nil
}

func (w *walker) dir() (*Dir, error) {
	if err := w.judge(false); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(w.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: w.path, Err: err}
	}
	return &Dir{file: os.NewFile(uintptr(fd), w.path), path: w.path, policy: w.Policy, uid: w.stat.Uid, open: w.others(w.fd, w.stat.Mode, w.stat.Gid) != ""}, nil
}

// readLink reads the link name in the folder fd, or the one that fd is of. The error is the
// kernel's.
func readLink(fd int, name string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, target)
	return string(target[:max(n, 0)]), err
}
