package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/slotsync/slotsync/securedir"
)

const (
	lockName = "lock"
	// lockPoll is how often a lock that is waited for is tried.
	lockPoll = 100 * time.Millisecond
)

// A Lock keeps other agents out of a state directory, for as long as its process lives.
type Lock struct{ file *os.File }

// TakeLock holds a state directory, which another agent may hold for that long. Where no file can
// be made there, nobody can overwrite anything either: that is no error. The error names who holds it.
func TakeLock(ctx context.Context, folders securedir.Policy, path string, wait time.Duration) (*Lock, error) {
	if path == "" {
		return &Lock{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		f, err := lock(folders, path)
		held, ok := errors.AsType[*securedir.HeldError](err)
		if !ok {
			return &Lock{f}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another slotsync keeps its state in %s (%w): give each a state_dir of its own, or stop that one", path, held)
		case <-time.After(lockPoll):
		}
	}
}

func lock(folders securedir.Policy, path string) (*os.File, error) {
	dir, err := folders.Make(path, 0o750)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Lock(lockName)
}

// Release gives the directory back. The file stays.
func (l *Lock) Release() {
	if l.file != nil {
		_ = securedir.Unlock(l.file) // which cannot fail in a way that matters
		l.file = nil
	}
}
