package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/slotsync/slotsync/securedir"
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
func loadState(folders securedir.Policy, path string) (stored, error) {
	if path == "" {
		return stored{}, nil
	}
	dir, err := folders.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stored{}, nil
	}
	if err != nil {
		return stored{}, err
	}
	defer dir.Close()
	s, err := loadSets(dir)
	s, other := loadOperators(dir, s)
	return s, errors.Join(err, other)
}

// loadSets reads the large file of the state directory.
func loadSets(dir *securedir.Dir) (stored, error) {
	text, info, err := dir.ReadOwn(stateFile, maxState)
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
	if info != nil && info.Mode().IsRegular() {
		_ = dir.Rename(stateFile, badFile) // for people; it is lost otherwise
	}
	return stored{}, fmt.Errorf("%s: %w", filepath.Join(dir.Path(), stateFile), err)
}
