package file

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A snapshot is what the files hold at a time. It is not changed once it is
// shared.
type snapshot struct {
	path    string // of all of them
	version uint64 // another one when files or err are others; 0: nothing was read yet
	at      time.Time
	files   []view
	next    time.Time // when a file has to be read again though nothing changes; zero: none has
	listErr error     // why there may be more files; a [discovery.Error]
	err     error     // why nothing is known; a [discovery.Error]
}

func (s snapshot) same(t snapshot) bool {
	return fmt.Sprint(s.err) == fmt.Sprint(t.err) && fmt.Sprint(s.listErr) == fmt.Sprint(t.listErr) && slices.EqualFunc(s.files, t.files, view.equal)
}

// current returns what was seen a moment ago, or else what there is now: where many
// wait, not each has to read. The error is ctx's own.
func (f *Files) current(ctx context.Context) (snapshot, error) {
	latest, _ := f.now()
	if latest.version > 0 && latest.err == nil && time.Since(latest.at) < quiet {
		return latest, ctx.Err()
	}
	return f.read(ctx, false)
}

// read reads the files that have changed, or all of them anew, and returns what
// there is now. The error is ctx's own.
func (f *Files) read(ctx context.Context, anew bool) (snapshot, error) {
	select {
	case <-ctx.Done():
		return snapshot{}, ctx.Err()
	case f.readLock <- struct{}{}:
	}
	defer func() { <-f.readLock }()
	if ctx.Err() != nil {
		return snapshot{}, ctx.Err()
	}
	seen, err := f.scan(f.memory, anew)
	s := snapshot{path: f.path(), at: time.Now()}
	if err != nil {
		s.listErr = discovery.Errorf(discovery.Transport, "%w", err)
	}
	if err != nil && !slices.ContainsFunc(seen, seenFile.legible) {
		s.err = s.listErr
		return f.publish(s), nil
	}
	f.memory = f.memory.updated(seen, err == nil, s.at)
	if s.files, s.next = f.memory.views(s.at); len(s.files) == 0 {
		s.err = f.noFile()
	}
	return f.publish(s), nil
}

// settled returns what there is when no file may be half written any more, or when that
// took too long. The error is ctx's own.
func (f *Files) settled(ctx context.Context, s snapshot, settles func(view) bool) (snapshot, error) {
	limit, err := time.Now().Add(patience), ctx.Err()
	for err == nil && slices.ContainsFunc(s.files, settles) && time.Now().Before(limit) {
		s, err = f.after(ctx, s.version, limit)
	}
	return s, err
}

// noFile is the error for a path that no file has. A directory without files
// looks like one where nothing is mounted: it does not say that there are no
// endpoints.
func (f *Files) noFile() error {
	if f.literal {
		return &noFileError{discovery.Errorf(discovery.Server, "%s: %w", f.path(), os.ErrNotExist)}
	}
	return &noFileError{discovery.Errorf(discovery.Server, "no file matches %s: to say that there is nothing, leave one that holds []", f.path())}
}

// A noFileError says that there is no file. It has a class as every error of a source
// has, and does not show it: a reader of "server:" would look for a server.
type noFileError struct{ of *discovery.Error }

// Error returns the cause, as [discovery.Error.Error] does after the class.
func (e *noFileError) Error() string {
	return strings.TrimPrefix(e.of.Error(), string(e.of.Class)+": ")
}

// Unwrap returns the error with its class.
func (e *noFileError) Unwrap() error { return e.of }

// publish makes s the latest snapshot, and wakes those that wait for another one if
// s differs from the one before.
func (f *Files) publish(s snapshot) snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.version = f.latest.version
	if s.version == 0 || !s.same(f.latest) {
		s.version++
		close(f.changed)
		f.changed = make(chan struct{})
	}
	f.latest = s
	return s
}

// now returns the latest snapshot, and what is closed when there is another one.
func (f *Files) now() (snapshot, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest, f.changed
}
