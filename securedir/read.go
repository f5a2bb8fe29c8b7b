package securedir

import (
	"fmt"
	"io"
	"io/fs"
	"os"

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
