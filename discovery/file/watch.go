package file

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	rescan   = 30 * time.Second       // the longest time in which nobody looks
	deafScan = 2 * time.Second        // the same where nobody tells of changes
	quiet    = 200 * time.Millisecond // between two looks, however much happens
)

// A bell rings when something happens in a directory.
type bell struct {
	rung   <-chan fsnotify.Event
	broken <-chan error
	close  func()
}

// listen watches dir, and what holds it, where dir itself may be replaced: the
// ..data of a Kubernetes volume is a link that is. Until there is a dir again,
// what holds it is enough.
func listen(dir string) (*bell, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	above := w.Add(filepath.Dir(dir))
	if err := w.Add(dir); err != nil && above != nil {
		_ = w.Close() // it watches nothing
		return nil, err
	}
	return &bell{rung: w.Events, broken: w.Errors, close: func() { _ = w.Close() }}, nil // what it held is not needed
}

// after returns the first snapshot that is not the one seen, or at that time the
// one that there is then. The error is ctx's own. Of those who wait one watches
// for all.
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
		case f.turn <- struct{}{}:
			f.tend(waiting, seen)
			<-f.turn
		}
	}
}

// tend watches until there is another snapshot than the one seen, the directory
// is another one, or ctx is done.
func (f *Files) tend(ctx context.Context, seen uint64) {
	b, err := f.listen(f.dir)
	if err != nil {
		b = &bell{close: func() {}}
	}
	defer func() { b.close() }()
	f.hear(err)
	for {
		// What happened before the bell was there is seen by this look.
		s, err := f.look(ctx, false)
		if err != nil || s.version != seen {
			return
		}
		moved, err := f.wait(ctx, b, s)
		if moved || ctx.Err() != nil {
			return
		}
		if err != nil {
			b.close()
			b = &bell{close: func() {}}
			f.hear(err)
		}
	}
}

// hear notes whether changes are told of.
func (f *Files) hear(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = err
}

// wait returns when it is time to look again after s. moved says that the
// directory may be another one, the error that the bell is of no use any more.
func (f *Files) wait(ctx context.Context, b *bell, s snapshot) (moved bool, err error) {
	most := rescan
	if b.rung == nil {
		most = deafScan
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
		case err := <-b.broken:
			return moved, err
		case event := <-b.rung:
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
