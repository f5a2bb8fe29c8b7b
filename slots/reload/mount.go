package reload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/slotsync/slotsync/securedir"
)

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
