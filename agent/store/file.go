package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slotsync/slotsync/securedir"
)

const (
	// saveEvery is how often a file is written at most, unless somebody waits for it.
	saveEvery = time.Second
	// retryStore is how soon it is tried again to write what could not be.
	retryStore = 5 * time.Second
)

// errEnded is why nothing is written any more.
var errEnded = errors.New("nothing is stored any more")

// A File keeps one file of the state directory equal to the newest value that it was given.
// Only who asks for it waits for the disk.
type File struct {
	// Disk, if it is not nil, is handed each write, and is to do it. It is set before Run.
	Disk func(write func() error) error

	folders   securedir.Policy
	dir, name string // dir "": nothing is kept
	failed    func(error)
	worked    func()
	wake      chan struct{}

	mu    sync.Mutex // guards following
	next  any        // the newest value; nil: it is written
	wait  *write     // who wait for the newest value; nil: nobody does
	ended bool

	last []byte // as it was written last; the goroutine's of run
}

// A write is one write that somebody waits for.
type write struct {
	done chan struct{}
	err  error // once done is closed
}

func (w *write) finish(err error) {
	if w != nil {
		w.err = err
		close(w.done)
	}
}

// NewFile returns a file of a directory, "" for one that keeps nothing. failed and worked are
// called by Run after each try to write.
func NewFile(folders securedir.Policy, dir, name string, failed func(error), worked func()) *File {
	return &File{folders: folders, dir: dir, name: name, failed: failed, worked: worked, wake: make(chan struct{}, 1)}
}

// Put hands over the newest value. It does not wait.
func (f *File) Put(value any) { f.hand(value, false) }

// Flush hands over the newest value. It does not wait: what it returns does, until that is on
// the disk, and says why it is not, or not yet; it is tried again then.
func (f *File) Flush(value any) (wait func(context.Context) error) {
	w := f.hand(value, true)
	return func(ctx context.Context) error {
		select {
		case <-w.done:
			return w.err
		case <-ctx.Done():
			return fmt.Errorf("the disk has not answered yet: %w", ctx.Err())
		}
	}
}

// hand hands over the newest value. However many wait for it, they wait for one write.
func (f *File) hand(value any, waits bool) *write {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = value
	w := f.wait
	if w == nil && waits {
		w = &write{done: make(chan struct{})}
		switch {
		case f.dir == "":
			w.finish(nil) // that nothing is kept is wanted
		case f.ended:
			w.finish(errEnded)
		default:
			f.wait = w
		}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return w
}

// Run writes until ctx is done, and then what is left.
func (f *File) Run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	rested := false
	for {
		select {
		case <-pause.C:
			rested = true
		case <-f.wake:
		case <-ctx.Done():
			f.end()
			return
		}
		if wrote, err := f.writeNext(rested); wrote {
			rested = false
			if err != nil {
				pause.Reset(retryStore)
			} else {
				pause.Reset(saveEvery)
			}
		}
	}
}

// writeNext writes the newest value if there is one, and time for it or somebody who waits,
// and reports whether it tried.
func (f *File) writeNext(rested bool) (wrote bool, err error) {
	f.mu.Lock()
	value, waiting := f.next, f.wait
	if value == nil || !rested && waiting == nil {
		f.mu.Unlock()
		return false, nil
	}
	f.next, f.wait = nil, nil
	f.mu.Unlock()
	err = f.write(value)
	waiting.finish(err)
	if err != nil {
		f.mu.Lock()
		if f.next == nil {
			f.next = value
		}
		f.mu.Unlock()
	}
	return true, err
}

// end writes what is left; who asks later is told that nobody writes any more.
func (f *File) end() {
	_, _ = f.writeNext(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.wait.finish(errEnded)
	f.wait = nil
}

// write makes value what the file holds, unless it does already.
func (f *File) write(value any) error {
	if f.dir == "" {
		return nil
	}
	text, err := json.Marshal(value)
	if err == nil && bytes.Equal(text, f.last) {
		return nil
	}
	if err == nil {
		err = f.through(func() error { return f.replace(append(text, '\n')) })
	}
	if err != nil {
		f.failed(err)
		return err
	}
	f.last = text
	f.worked()
	return nil
}

func (f *File) through(write func() error) error {
	if f.Disk == nil {
		return write()
	}
	return f.Disk(write)
}

// replace replaces the file in one step that survives a power loss. Its mode is not that
// of the one that was there, which may have been anybody's to write to.
func (f *File) replace(text []byte) error {
	dir, err := f.folders.Make(f.dir, 0o750)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Replace(f.name, text, securedir.Private(), nil)
}
