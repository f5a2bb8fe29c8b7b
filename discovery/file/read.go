package file

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	maxFile    = 32 << 20 // bytes
	maxFiles   = 1000
	maxEntries = 100_000 // of the directory
	// timestampGrain is how far apart a change and a reading must be for the times of the
	// file system to tell one from the other.
	timestampGrain = 100 * time.Millisecond
)

// A mark tells one version of a file from others as far as that is possible
// without reading it.
type mark struct {
	device, inode uint64
	size          int64
	mtime, ctime  syscall.Timespec
}

func markOf(info os.FileInfo) mark {
	m := mark{size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		m.device, m.inode, m.mtime, m.ctime = s.Dev, s.Ino, s.Mtim, s.Ctim
	}
	return m
}

// A seenFile is one file as it was just seen.
type seenFile struct {
	name      string
	unchanged bool // since the last time; it has that version
	version
}

func (s seenFile) legible() bool { return s.err == nil }

// A version is one content of a file.
type version struct {
	mark  mark
	sum   [sha256.Size]byte // of the content, or of why there is none
	items []item
	err   error
	mtime time.Time
	// unsure says that only reading the file again tells whether it is still the same.
	unsure bool
}

// scan looks at every file of the path. Those that known has already are read
// only if they have changed, or anew. The error is that there may be others than those
// that are known.
func (f *Files) scan(known memory, anew bool) ([]seenFile, error) {
	names, closed := f.names()
	if closed != nil {
		names = slices.Sorted(maps.Keys(known))
	}
	seen := make([]seenFile, 0, len(names))
	for _, name := range names {
		old, has := known[name]
		s, err := visit(f.dir, name, old.version, has && !anew)
		if !errors.Is(err, fs.ErrNotExist) {
			seen = append(seen, s)
		}
	}
	return seen, closed
}

func (f *Files) names() ([]string, error) {
	// Nothing but a directory is opened: opening a pipe would wait for a writer.
	dir, err := os.OpenFile(f.dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if f.literal {
		return []string{f.pattern}, nil
	}
	var names []string
	for entries := 0; ; {
		some, err := dir.Readdirnames(1000)
		for _, name := range some {
			if f.matches(name) {
				names = append(names, name)
			}
		}
		if entries += len(some); len(names) > maxFiles || entries > maxEntries {
			return nil, fmt.Errorf("%s: more than %d files match, or there are more than %d", f.path(), maxFiles, maxEntries)
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (f *Files) matches(name string) bool {
	ok, err := filepath.Match(f.pattern, name)
	return ok && err == nil && (!strings.HasPrefix(name, ".") || strings.HasPrefix(f.pattern, "."))
}

// visit returns the file as it is now. The only error is that there is no such file.
// trust lets an unchanged mark stand for unchanged content.
func visit(dir, name string, old version, trust bool) (seenFile, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return seenFile{}, err
	}
	if err == nil && trust && !old.unsure && markOf(info) == old.mark {
		return seenFile{name: name, unchanged: true, version: old}, nil
	}
	v, raw, err := load(path, info, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seenFile{}, err
	case err != nil:
		v.err, v.unsure = err, true
		v.sum = sha256.Sum256([]byte(err.Error()))
	default:
		v.sum = sha256.Sum256(raw)
		if trust && v.sum == old.sum {
			v.items, v.err = old.items, old.err
			break
		}
		v.items, v.err = parse(name, raw)
	}
	return seenFile{name: name, version: v}, nil
}

// load reads the file whole, if it is a regular one. err is that of info.
func load(path string, info os.FileInfo, err error) (version, []byte, error) {
	if err != nil {
		return version{}, nil, err
	}
	if !info.Mode().IsRegular() {
		return version{}, nil, errNotRegular
	}
	// It may have become a pipe since.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return version{}, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return version{}, nil, err
	}
	v := version{mark: markOf(info), mtime: info.ModTime()}
	v.unsure = time.Since(v.mtime) < timestampGrain
	switch {
	case !info.Mode().IsRegular():
		return v, nil, errNotRegular
	case info.Size() > maxFile:
		return v, nil, errTooLarge
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = errTooLarge
	}
	return v, raw, err
}

var (
	errNotRegular = errors.New("it is not a regular file")
	errTooLarge   = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
)
