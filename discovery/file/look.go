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
	version uint64 // another one when files or err are others; 0: nobody has looked yet
	at      time.Time
	files   []view
	next    time.Time // when something in it has to be looked at again; zero: it has not
	closed  error     // why there may be more files; a [discovery.Error]
	err     error     // why nothing is known; a [discovery.Error]
}

func (s snapshot) same(t snapshot) bool {
	return fmt.Sprint(s.err) == fmt.Sprint(t.err) && fmt.Sprint(s.closed) == fmt.Sprint(t.closed) && slices.EqualFunc(s.files, t.files, view.equal)
}

// current returns what was seen a moment ago, or else what there is now: where many
// wait, not each has to look. The error is ctx's own.
func (f *Files) current(ctx context.Context) (snapshot, error) {
	latest, _ := f.now()
	if latest.version > 0 && latest.err == nil && time.Since(latest.at) < quiet {
		return latest, ctx.Err()
	}
	return f.look(ctx, false)
}

// look reads the files that have changed, or all of them anew, and returns what
// there is now. The error is ctx's own.
func (f *Files) look(ctx context.Context, anew bool) (snapshot, error) {
	select {
	case <-ctx.Done():
		return snapshot{}, ctx.Err()
	case f.desk <- struct{}{}:
	}
	defer func() { <-f.desk }()
	if ctx.Err() != nil {
		return snapshot{}, ctx.Err()
	}
	seen, err := f.find(f.memory, anew)
	s := snapshot{path: f.path(), at: time.Now()}
	if err != nil {
		s.closed = discovery.Errorf(discovery.Transport, "%w", err)
	}
	if err != nil && !slices.ContainsFunc(seen, sight.legible) {
		s.err = s.closed
		return f.publish(s), nil
	}
	f.memory = f.memory.see(seen, err == nil, s.at)
	if s.files, s.next = f.memory.views(s.at); len(s.files) == 0 {
		s.err = f.absent()
	}
	return f.publish(s), nil
}

// settled returns what there is when no file settles any more, or when it took too long.
// The error is ctx's own.
func (f *Files) settled(ctx context.Context, s snapshot, settles func(view) bool) (snapshot, error) {
	limit, err := time.Now().Add(patience), ctx.Err()
	for err == nil && slices.ContainsFunc(s.files, settles) && time.Now().Before(limit) {
		s, err = f.after(ctx, s.version, limit)
	}
	return s, err
}

// absent is the error for a path that no file has. A directory without files
// looks like one where nothing is mounted: it does not say that there are no
// endpoints.
func (f *Files) absent() error {
	if f.literal {
		return &absentError{discovery.Errorf(discovery.Server, "%s: %w", f.path(), os.ErrNotExist)}
	}
	return &absentError{discovery.Errorf(discovery.Server, "no file matches %s: to say that there is nothing, leave one that holds []", f.path())}
}

// An absentError says that there is no file. It has a class as every error of a source
// has, and does not say it: whoever reads "server:" looks for one.
type absentError struct{ of *discovery.Error }

// Error returns the cause, as [discovery.Error.Error] does after the class.
func (e *absentError) Error() string {
	return strings.TrimPrefix(e.of.Error(), string(e.of.Class)+": ")
}

// Unwrap returns the error with its class.
func (e *absentError) Unwrap() error { return e.of }

// publish makes s the latest snapshot, and wakes those who wait for another one
// if it is another one.
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
