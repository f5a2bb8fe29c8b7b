package reload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/securedir"
)

// A fileSnapshot is a file as it was found.
type fileSnapshot struct {
	path   string // behind all symbolic links
	exists bool
	text   []byte
	sum    string // of the text; "" if there is no file
	like   securedir.Attributes
}

// snapshot reads the configuration file. That it is not there is no error; that others could
// put another one there is.
func (t *Transaction) snapshot(path string) (fileSnapshot, error) {
	none := fileSnapshot{path: path, like: securedir.Attributes{Mode: 0o640, UID: -1, GID: -1}}
	dir, name, err := t.o.Folders.Locate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return fileSnapshot{}, err
	}
	defer dir.Close()
	text, info, err := dir.Read(name, maxFile)
	if none.path = filepath.Join(dir.Path(), name); errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return fileSnapshot{}, err
	}
	s := fileSnapshot{path: none.path, exists: true, text: text, sum: sum(text), like: none.like}
	s.like.Mode = info.Mode().Perm()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.like.UID, s.like.GID = int(stat.Uid), int(stat.Gid)
	}
	return s, nil
}

func (t *Transaction) within(path string, do func(*securedir.Dir) error) error {
	dir, err := t.o.Folders.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(do(dir), dir.Close())
}

func (t *Transaction) readKept(name string) (text []byte, err error) {
	err = t.within(t.o.Dir, func(dir *securedir.Dir) error {
		text, _, err = dir.ReadOwn(name, maxFile)
		return err
	})
	return text, err
}

func (t *Transaction) removeKept(name string) error {
	return t.within(t.o.Dir, func(dir *securedir.Dir) error { return dir.Remove(name) })
}

func sum(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

// replaceFile puts text in place of path in one step that survives a crash, unless still
// has an error right before it.
func (t *Transaction) replaceFile(path string, text []byte, like securedir.Attributes, still func() error) error {
	return t.within(filepath.Dir(path), func(dir *securedir.Dir) error {
		return dir.Replace(filepath.Base(path), text, like, still)
	})
}

// lockDir makes the folder of versions and keeps other processes out of it until what it returns is
// given to [securedir.Unlock].
func (t *Transaction) lockDir() (*os.File, error) {
	dir, err := t.o.Folders.Make(t.o.Dir, 0o700)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := dir.Own(); err != nil {
		return nil, err
	}
	f, err := dir.Lock("lock")
	if _, held := errors.AsType[*securedir.HeldError](err); held {
		return nil, ErrBusy
	}
	return f, err
}

// backupName is the name of the file from before during a transaction: putting it
// back is then one rename, which needs no space. HAProxy leaves hidden files in
// a folder of configurations alone.
func backupName(path string) string { return "." + filepath.Base(path) + ".slotsync.last" }

// makeBackup keeps the file under the name of the backup, by a hard link.
func (t *Transaction) makeBackup(path string) error {
	return t.within(filepath.Dir(path), func(dir *securedir.Dir) error {
		if err := dir.Remove(backupName(path)); err != nil {
			return err
		}
		return dir.Link(filepath.Base(path), backupName(path))
	})
}

func (t *Transaction) dropBackup(path string) error {
	return t.within(filepath.Dir(path), func(dir *securedir.Dir) error { return dir.Remove(backupName(path)) })
}

// sweep removes what a process that was killed left beside the file.
func (t *Transaction) sweep(path string) {
	mark := "." + filepath.Base(path)
	_ = t.within(filepath.Dir(path), func(dir *securedir.Dir) error {
		entries, err := dir.Entries()
		for _, e := range entries {
			rest, ours := strings.CutPrefix(e.Name(), mark)
			if ours && e.Type().IsRegular() && (strings.HasPrefix(rest, ".slotsync.") || rest != "" && strings.Trim(rest, "0123456789") == "") {
				err = errors.Join(err, dir.Remove(e.Name()))
			}
		}
		return err
	}) // it takes a little space
}

// errMounted: the file itself is a mount point, as a single file that a container gets is;
// no other file can take its place.
var errMounted = errors.New("the file is mounted by itself, and cannot be replaced")

// replaceable returns an error if the file cannot be replaced, whatever it would be
// replaced by. It makes and removes a file beside it.
func (t *Transaction) replaceable(found fileSnapshot) error {
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && isMountPoint(string(mounts), found.path) {
		return fmt.Errorf("%w: %s: mount its folder %s instead", errMounted, found.path, filepath.Dir(found.path))
	}
	return t.within(filepath.Dir(found.path), func(dir *securedir.Dir) error {
		return dir.Try(filepath.Base(found.path), found.like)
	})
}

// isMountPoint reports whether path is a mount point by mountinfo, proc(5).
func isMountPoint(mountinfo, path string) bool {
	return slices.ContainsFunc(securedir.ParseMounts(mountinfo), func(m securedir.Mount) bool { return m.Point == path })
}
