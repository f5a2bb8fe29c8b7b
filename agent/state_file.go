package agent

import (
	"errors"

	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/securedir"
)

const (
	stateVersion = 1
	stateFile    = "state.json"
)

// loadState reads the state directory. An error says why there is nothing to go
// by, and leaves what was there aside; a directory that was never written to is
// none.
func loadState(folders securedir.Policy, path string) (s stored, err error) {
	dir, err := store.Open(folders, path)
	if dir == nil || err != nil {
		return stored{}, err
	}
	defer dir.Close()
	_, err = dir.ReadOrSetAside(stateFile, func(text []byte) error {
		s, err = decodeState(text)
		return err
	})
	s, other := loadOperators(dir, s)
	return s, errors.Join(err, other)
}
