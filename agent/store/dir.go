// Package store keeps values in the files of the state directory: each is replaced in one step
// that survives a power loss, and nothing that is found there stops the agent. It knows
// nothing of what is in them but that it is JSON and has a version.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/slotsync/slotsync/securedir"
)

// MaxSize bounds what is read back: more was not written by the agent.
const MaxSize = 256 << 20

// A Dir is a state directory that is read.
type Dir struct{ in *securedir.Dir }

// Open opens a state directory; nil if there is none.
func Open(folders securedir.Policy, path string) (*Dir, error) {
	if path == "" {
		return nil, nil
	}
	in, err := folders.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Dir{in}, nil
}

// Close ends the use of the directory.
func (d *Dir) Close() error { return d.in.Close() }

// Read has decode take what a file holds, and reports whether there is one. The error says
// why there is nothing to go by.
func (d *Dir) Read(name string, decode func(text []byte) error) (found bool, err error) {
	_, found, err = d.read(name, decode)
	return found, err
}

// ReadOrSetAside is Read, which keeps a file that is no use as name.bad: for people, it would
// be overwritten otherwise.
func (d *Dir) ReadOrSetAside(name string, decode func(text []byte) error) (found bool, err error) {
	info, found, err := d.read(name, decode)
	if err != nil && info != nil && info.Mode().IsRegular() {
		_ = d.in.Rename(name, name+".bad")
	}
	return found, err
}

func (d *Dir) read(name string, decode func(text []byte) error) (info fs.FileInfo, found bool, err error) {
	text, info, err := d.in.ReadOwn(name, MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil {
		err = decode(text)
	}
	if err != nil {
		return info, true, fmt.Errorf("%s: %w", filepath.Join(d.in.Path(), name), err)
	}
	return info, true, nil
}

// Newer reports whether a file was written after another one.
func (d *Dir) Newer(name, than string) bool {
	info, err := d.in.Stat(name)
	if err != nil {
		return false
	}
	other, err := d.in.Stat(than)
	return err == nil && info.ModTime().After(other.ModTime())
}

// CheckVersion refuses what was written by a release that writes another version.
func CheckVersion(got, want int) error {
	if got != want {
		return fmt.Errorf("version %d, this is version %d", got, want)
	}
	return nil
}
