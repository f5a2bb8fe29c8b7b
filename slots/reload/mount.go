package reload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// ErrMounted: the file itself is a mount point, as a single file that a container gets is;
// no other file can take its place.
var ErrMounted = errors.New("the file is mounted by itself, and cannot be replaced")

// replaceable returns an error if the file cannot be replaced, whatever it would be
// replaced by. It makes and removes a file beside it.
func (t *Transaction) replaceable(found fileSnapshot) error {
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && isMountPoint(string(mounts), found.path) {
		return fmt.Errorf("%w: %s: mount its folder %s instead", ErrMounted, found.path, filepath.Dir(found.path))
	}
	return t.within(filepath.Dir(found.path), func(dir *securedir.Dir) error {
		return dir.Try(filepath.Base(found.path), found.like)
	})
}

// isMountPoint reports whether path is a mount point by mountinfo, proc(5).
func isMountPoint(mountinfo, path string) bool {
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 && unescape(fields[4]) == path {
			return true
		}
	}
	return false
}

// unescape replaces \ and three octal digits, as proc(5) writes blanks and the like.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
