package file

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	rescan        = 30 * time.Second       // how often the files are read though nothing was noticed
	unwatchedScan = 2 * time.Second        // the same where changes cannot be noticed
	quiet         = 200 * time.Millisecond // between two readings, however much happens
)

// A watcher reports changes in a directory. Without events it reports nothing.
type watcher struct {
	events <-chan fsnotify.Event
	errors <-chan error
	close  func()
}

// newWatcher watches dir and its parent, since dir itself may be replaced, as the link
// ..data of a Kubernetes volume is. While there is no dir the parent is enough.
func newWatcher(dir string) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	above := notify.Add(filepath.Dir(dir))
	if err := notify.Add(dir); err != nil && above != nil {
		_ = notify.Close() // it watches nothing
		return nil, err
	}
	return &watcher{events: notify.Events, errors: notify.Errors, close: func() { _ = notify.Close() }}, nil // what it held is not needed
}

// after returns the first snapshot that is not the one seen, or at that time the
// one that there is then. The error is ctx's own. One caller watches for all.
func (f *Files) after(ctx context.Context, seen uint64, until time.Time) (snapshot, error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		latest, changed := f.now()
		if latest.version != seen {
			return latest, ctx.Err()
		}
		select {
		case <-waiting.Done():
			return f.current(ctx)
		case <-changed:
		case f.watchLock <- struct{}{}:
			f.watch(waiting, seen)
			<-f.watchLock
		}
	}
}

// watch watches until there is another snapshot than the one seen, the directory
// is another one, or ctx is done.
func (f *Files) watch(ctx context.Context, seen uint64) {
	w, err := f.newWatcher(f.dir)
	if err != nil {
		w = &watcher{close: func() {}}
	}
	defer func() { w.close() }()
	f.setWatchErr(err)
	for {
		// What happened before there was a watcher is seen by this reading.
		s, err := f.read(ctx, false)
		if err != nil || s.version != seen {
			return
		}
		moved, err := f.wait(ctx, w, s)
		if moved || ctx.Err() != nil {
			return
		}
		if err != nil {
			w.close()
			w = &watcher{close: func() {}}
			f.setWatchErr(err)
		}
	}
}

// setWatchErr notes why changes are not noticed; nil: they are.
func (f *Files) setWatchErr(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchErr = err
}

// wait returns when it is time to read again after s. moved says that the
// directory may be another one, the error that w is of no use any more.
func (f *Files) wait(ctx context.Context, w *watcher, s snapshot) (moved bool, err error) {
	most := rescan
	if w.events == nil {
		most = unwatchedScan
	}
	due := s.at.Add(most)
	if !s.next.IsZero() && s.next.Before(due) {
		due = s.next
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return moved, nil
		case <-timer.C:
			return moved, nil
		case err := <-w.errors:
			return moved, err
		case event := <-w.events:
			if event.Name != f.dir && filepath.Dir(event.Name) != f.dir {
				continue
			}
			moved = moved || event.Name == f.dir
			// The first of many at once, if it was quiet before; the others together.
			if soon := s.at.Add(quiet); soon.Before(due) {
				due = soon
				timer.Reset(time.Until(due))
			}
		}
	}
}
