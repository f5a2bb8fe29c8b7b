// Package audit keeps the file of who asked for which change: one line of JSON for each, on
// the disk before it is answered.
package audit

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/slotsync/slotsync/securedir"
)

// mode is what the file is made with: who ships logs reads it by its group.
const mode fs.FileMode = 0o640

// patience is how long an answer waits for the disk.
const patience = 5 * time.Second

// An Entry is one change that somebody asked for.
type Entry struct {
	At time.Time `json:"at"`
	// Who is by what the caller is known, with the note that came with the request; "" if
	// nothing is known. User is of the system's, where it says so, and From where the
	// request comes from.
	Who  string `json:"who"`
	User string `json:"user,omitempty"`
	From string `json:"from"`
	// Method and Path say what was asked for, Asked the rest of it, but for what may be
	// secret, and Reason why.
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Asked  map[string]string `json:"asked,omitempty"`
	Reason string            `json:"reason,omitempty"`
	// Status is what was answered: below 400 it was done.
	Status int `json:"status"`
	// LeftOut counts what has no entry since the last one that was written, because who may
	// change nothing asked for too much: they were refused, or signed in or out, or sent a line
	// that only shows. It is counted twice where the entry that tells of it took too long.
	LeftOut int64 `json:"left_out,omitempty"`
}

// A File is one that entries are added to. Others may rotate it: it is opened anew for each.
type File struct {
	append func(line []byte) error
	busy   chan struct{} // holds one while an entry is written
}

// New returns the file at path, which is made with the first entry.
func New(path string, policy securedir.Policy) *File {
	add := func(line []byte) error {
		dir, name, err := policy.Locate(path)
		if err != nil {
			return err
		}
		return errors.Join(dir.Append(name, line, mode), dir.Close())
	}
	return &File{append: add, busy: make(chan struct{}, 1)}
}

var errSlow = errors.New("the disk has not answered yet")

// Add adds an entry, and returns when it would survive a loss of power. An entry that took
// longer than 5 s may be there all the same, later.
func (f *File) Add(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case f.busy <- struct{}{}:
	case <-late.C:
		return errSlow
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-f.busy }()
		done <- f.append(append(line, '\n'))
	}()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errSlow
	}
}
