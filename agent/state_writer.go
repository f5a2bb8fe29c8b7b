package agent

import (
	"bytes"
	"context"
	"encoding/json"
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

// A fileWriter keeps one file of the state directory equal to the newest value that it
// was given. Only who asks for it waits for the disk.
type fileWriter struct {
	folders   securedir.Policy
	dir, name string // dir "": nothing is kept
	failed    func(error)
	worked    func()
	wake      chan struct{}

	mu      sync.Mutex   // guards following
	next    any          // the newest value; nil: it is written
	waiting []chan error // for the newest value
	ended   bool

	last []byte // as it was written last; the goroutine's of run
}

func newFileWriter(folders securedir.Policy, dir, name string, failed func(error), worked func()) *fileWriter {
	return &fileWriter{folders: folders, dir: dir, name: name, failed: failed, worked: worked, wake: make(chan struct{}, 1)}
}

// put hands over the newest value. It does not wait.
func (w *fileWriter) put(value any) { w.hand(value, nil) }

// flush hands over the newest value, and returns what tells when it is on the disk, or
// why it is not; it is tried again then. It does not wait.
func (w *fileWriter) flush(value any) <-chan error {
	done := make(chan error, 1)
	w.hand(value, done)
	return done
}

func (w *fileWriter) hand(value any, done chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case done == nil:
	case w.dir == "":
		done <- nil // that nothing is kept is wanted
	case w.ended:
		done <- errStopped
	default:
		w.waiting = append(w.waiting, done)
	}
	w.next = value
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx is done, and then what is left.
func (w *fileWriter) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	rested := false
	for {
		select {
		case <-pause.C:
			rested = true
		case <-w.wake:
		case <-ctx.Done():
			w.end()
			return
		}
		if wrote, err := w.store(rested); wrote {
			rested = false
			if err != nil {
				pause.Reset(retryStore)
			} else {
				pause.Reset(saveEvery)
			}
		}
	}
}

// store writes the newest value if there is one, and time for it or somebody who waits,
// and reports whether it tried.
func (w *fileWriter) store(rested bool) (wrote bool, err error) {
	w.mu.Lock()
	value, waiting := w.next, w.waiting
	if value == nil || !rested && len(waiting) == 0 {
		w.mu.Unlock()
		return false, nil
	}
	w.next, w.waiting = nil, nil
	w.mu.Unlock()
	err = w.write(value)
	for _, done := range waiting {
		done <- err
	}
	if err != nil {
		w.mu.Lock()
		if w.next == nil {
			w.next = value
		}
		w.mu.Unlock()
	}
	return true, err
}

// end writes what is left; who asks later is told that nobody writes any more.
func (w *fileWriter) end() {
	_, _ = w.store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, done := range w.waiting {
		done <- errStopped
	}
	w.waiting = nil
}

// write makes value what the file holds, unless it does already.
func (w *fileWriter) write(value any) error {
	if w.dir == "" {
		return nil
	}
	text, err := json.Marshal(value)
	if err == nil && bytes.Equal(text, w.last) {
		return nil
	}
	if err == nil {
		err = w.replace(append(text, '\n'))
	}
	if err != nil {
		w.failed(err)
		return err
	}
	w.last = text
	w.worked()
	return nil
}

// replace replaces the file in one step that survives a power loss. Its mode is not that
// of the one that was there, which may have been anybody's to write to.
func (w *fileWriter) replace(text []byte) error {
	dir, err := w.folders.Make(w.dir, 0o750)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Replace(w.name, text, securedir.Private(), nil)
}
