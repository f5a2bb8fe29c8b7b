package reload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// attributes are what a file that is replaced keeps.
type attributes struct {
	mode     fs.FileMode
	uid, gid int // -1: those of the process
}

// private is for what only the agent reads.
func private() attributes { return attributes{0o600, -1, -1} }

// A sight is a file as it was found.
type sight struct {
	path   string // behind all symbolic links
	exists bool
	text   []byte
	sum    string // of the text; "" if there is no file
	like   attributes
}

// look reads the configuration file. That it is not there is no error.
func look(path string) (sight, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return sight{}, fmt.Errorf("%s is a symbolic link to nowhere", path)
		}
		return sight{path: path, like: attributes{0o640, -1, -1}}, nil
	}
	if err != nil {
		return sight{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return sight{}, err
	}
	text, err := readBounded(real)
	if err != nil {
		return sight{}, err
	}
	s := sight{path: real, exists: true, text: text, sum: sum(text), like: attributes{info.Mode().Perm(), -1, -1}}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.like.uid, s.like.gid = int(stat.Uid), int(stat.Gid)
	}
	return s, nil
}

func sum(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

// readBounded reads a regular file: anything else might never end.
func readBounded(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, err
}

// replaceFile puts text in place of path in one step that survives a crash.
func replaceFile(path string, text []byte, like attributes) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := give(f.File, like); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// give sets owner and mode; the owner only if it is another, since only root
// may.
func give(f *os.File, like attributes) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && like.uid >= 0 && (like.uid != int(stat.Uid) || like.gid != int(stat.Gid)) {
		if err := f.Chown(like.uid, like.gid); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	return f.Chmod(like.mode)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	serr := f.Sync()
	return cmp.Or(serr, f.Close())
}

// A dirLock keeps other processes out of a folder. It ends with the process.
type dirLock struct{ file *os.File }

// lockDir makes dir and holds it until the lock is released.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &dirLock{f}, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrBusy
	}
	return nil, fmt.Errorf("%s: %w", f.Name(), err)
}

// release does not leave it to Close: a program that is just being started has
// the file, too, until it is executed.
func (l *dirLock) release() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	l.file.Close()
}

// spare is where the file from before waits during a transaction: putting it
// back is then one rename, which needs no space. HAProxy leaves hidden files in
// a folder of configurations alone.
func spare(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".slotsync.last")
}

// setAside makes the spare.
func setAside(path string) error {
	if err := dropSpare(path); err != nil {
		return err
	}
	return os.Link(path, spare(path))
}

func dropSpare(path string) error {
	if err := os.Remove(spare(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweep removes what a process that was killed left beside the file.
func sweep(path string) {
	mark := "." + filepath.Base(path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), mark)
		if ours && e.Type().IsRegular() && (strings.HasPrefix(rest, ".slotsync.") || rest != "" && strings.Trim(rest, "0123456789") == "") {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}
