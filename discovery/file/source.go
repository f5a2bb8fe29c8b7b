package file

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Source is what the files say of one service. It is a [discovery.Source].
type Source struct {
	files *Files
	query Query

	mu   sync.Mutex // guards following, never held while reading or waiting
	seen snapshot   // the latest one
	last discovery.Reading
	err  error
	told time.Time // when last was returned by Next; zero: it is told at once
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
)

// String implements [discovery.Source].
func (s *Source) String() string {
	if s.query.Service == "" {
		return "files " + s.files.path()
	}
	return "service " + s.query.Service + " in files " + s.files.path()
}

// Next implements [discovery.Source]. It returns when the set is another one, and
// every 30 seconds, since the files still say so. The
// system reports changes in the directory, but not in what its links lead to: those
// are seen within 30 seconds. Where the system reports nothing, everything is seen
// within 2. While a file is being read, ctx is not obeyed.
//
// The listing of the folder is a part, which has no endpoints, and each file is one
// below it. A file that cannot be read is unknown, one that may be half written is
// partial, and both are told of when that has lasted, unless they add something. At
// first, and after an error, Next waits for a file that may be half written. An error is
// a folder that is not there or holds no file at all, and one in which no file could ever
// be read, if one of them is named after the service.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	latest, err := s.first(ctx)
	for err == nil {
		r, problem := s.query.reading(latest)
		if s.note(latest, r, problem) {
			return r, problem
		}
		latest, err = s.files.after(ctx, latest.version, s.again())
	}
	return discovery.Reading{}, err
}

// first returns the snapshot to begin with: after news the latest one, after an error,
// and at first, a new one.
func (s *Source) first(ctx context.Context) (snapshot, error) {
	s.mu.Lock()
	told := !s.told.IsZero()
	s.mu.Unlock()
	if !told {
		latest, err := s.files.current(ctx)
		if err != nil {
			return latest, err
		}
		return s.files.settled(ctx, latest, s.query.mayBeHalfWritten)
	}
	latest, _ := s.files.now()
	return latest, ctx.Err()
}

// note keeps what is known now, and reports whether Next has to return it. Trouble with a
// file that may be half written is not returned while the last answer is not old.
func (s *Source) note(latest snapshot, r discovery.Reading, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.seen = latest
	switch due := s.told.IsZero() || now.Sub(s.told) >= rescan; {
	case due:
	case err != nil && slices.ContainsFunc(latest.files, s.query.mayBeHalfWritten):
		return false
	case err == nil && !s.query.hasNews(latest, r, s.last):
		return false
	}
	s.err = err
	if err != nil {
		s.told = time.Time{}
		return true
	}
	s.last, s.told = r, now
	return true
}

// again returns when the same set is returned once more.
func (s *Source) again() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told.IsZero() {
		return time.Now().Add(rescan)
	}
	return s.told.Add(rescan)
}

// Confirm implements [discovery.Source]: it reads every file, whether it has
// changed or not, and waits for one that may be half written.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	latest, err := s.files.read(ctx, true)
	if err == nil {
		latest, err = s.files.settled(ctx, latest, s.query.mayBeHalfWritten)
	}
	if err != nil {
		return discovery.Reading{}, err
	}
	return s.query.reading(latest)
}

// Recovered implements [discovery.Recoverer]: what was wrong with the files is
// worth reading again as soon as they change.
func (s *Source) Recovered(ctx context.Context, _ error) {
	s.mu.Lock()
	seen := s.seen.version
	s.mu.Unlock()
	for ctx.Err() == nil {
		latest, err := s.files.after(ctx, seen, time.Now().Add(rescan))
		if err == nil && latest.version != seen {
			return
		}
	}
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	s.mu.Lock()
	seen, last, err, told := s.seen, s.last, s.err, s.told
	s.mu.Unlock()
	a := discovery.Activity{Question: "read " + s.files.path(), Asked: seen.at, Answered: seen.at}
	switch {
	case seen.version == 0:
		return a
	case err != nil:
		a.Answer = err.Error()
	default:
		a.Answer = last.Note + ": " + discovery.Count(len(last.Endpoints()), "endpoint")
		a.Next = told.Add(rescan)
	}
	a.Remarks = seen.remarks()
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if s.files.watchErr != nil {
		a.Remarks = append(a.Remarks, fmt.Sprintf("looked at every %s: %s", unwatchedScan, discovery.Printable(s.files.watchErr.Error(), 200)))
	}
	return a
}
