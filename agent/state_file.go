package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// This file reads and writes the state directory. Nothing that is found there
// stops the agent.

const (
	stateVersion = 1
	stateFile    = "state.json"
	// badFile is where a state that cannot be used is kept.
	badFile = stateFile + ".bad"
	// maxState bounds what is read back: more was not written by the agent.
	maxState = 256 << 20
)

// loadState reads the state directory. An error says why there is nothing to go
// by, and leaves what was there aside; a directory that was never written to is
// none.
func loadState(dir string) (stored, error) {
	if dir == "" {
		return stored{}, nil
	}
	s, err := loadSets(dir)
	s, other := loadOperators(dir, s)
	return s, errors.Join(err, other)
}

// loadSets reads the large file of the state directory.
func loadSets(dir string) (stored, error) {
	path := filepath.Join(dir, stateFile)
	text, err := readState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stored{}, nil
	}
	var s stored
	if err == nil {
		s, err = decodeState(text)
	}
	if err == nil {
		return s, nil
	}
	if info, e := os.Lstat(path); e == nil && info.Mode().IsRegular() {
		_ = os.Rename(path, filepath.Join(dir, badFile)) // for people; it is lost otherwise
	}
	return stored{}, fmt.Errorf("%s: %w", path, err)
}

// readState reads a state that is this user's, root's, or of whom the directory
// is.
func readState(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > maxState:
		return nil, fmt.Errorf("%d bytes: no state is that large", info.Size())
	case !trusted(path, info):
		return nil, errors.New("it belongs to another user")
	}
	return io.ReadAll(io.LimitReader(f, maxState))
}

// trusted reports whether the file at path is of somebody who may decide what
// the agent believes.
func trusted(path string, info fs.FileInfo) bool {
	owner := ownerOf(info)
	if owner == 0 || owner == os.Geteuid() {
		return true
	}
	dir, err := os.Stat(filepath.Dir(path))
	return err == nil && owner == ownerOf(dir)
}

func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return os.Geteuid()
}
