package securedir

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadFile reads a regular file of at most limit bytes: anything else, as a pipe that somebody
// put there, might never end. flags are for open(2), besides those that reading takes.
func ReadFile(path string, limit int64, flags int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, _, err := readRegular(f, limit, nil)
	return text, err
}

// readRegular reads f if it is a regular file, has at most limit bytes, and judge, if
// there is one, has nothing against it.
func readRegular(f *os.File, limit int64, judge func(*os.File, fs.FileInfo) error) ([]byte, fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, fmt.Errorf("%s is no regular file", f.Name())
	}
	if judge != nil {
		if err := judge(f, info); err != nil {
			return nil, info, err
		}
	}
	large := fmt.Errorf("%s has more than %d bytes", f.Name(), limit)
	if info.Size() > limit {
		return nil, info, large
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1)) // it may have grown since
	if err == nil && int64(len(text)) > limit {
		return nil, info, large
	}
	return text, info, err
}

// A Mount is one line of mountinfo, proc(5).
type Mount struct {
	Root  string // what of the file system is mounted
	Point string // where
}

// ParseMounts reads mountinfo. Lines that are cut are passed over.
func ParseMounts(mountinfo string) (mounts []Mount) {
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 {
			mounts = append(mounts, Mount{unescape(fields[3]), unescape(fields[4])})
		}
	}
	return mounts
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
