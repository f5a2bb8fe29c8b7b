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
// every 30 seconds, since the files still say so. Changes are told of by the
// system for the directory, not for what links in it lead to elsewhere: those
// are seen within 30 seconds, and so is everything where the system tells
// nothing, within 2. While a file is being read, ctx is not obeyed.
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

// first returns what there is to look at first: after news the latest snapshot,
// after an error, and at first, the files themselves.
func (s *Source) first(ctx context.Context) (snapshot, error) {
	s.mu.Lock()
	told := !s.told.IsZero()
	s.mu.Unlock()
	if !told {
		latest, err := s.files.current(ctx)
		if err != nil {
			return latest, err
		}
		return s.files.settled(ctx, latest, s.query.settles)
	}
	latest, _ := s.files.now()
	return latest, ctx.Err()
}

// note keeps what is known now, and says whether it has to be told. Trouble with a file
// that may be half written has not, as long as what was told last is not old.
func (s *Source) note(latest snapshot, r discovery.Reading, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.seen = latest
	switch due := s.told.IsZero() || now.Sub(s.told) >= rescan; {
	case due:
	case err != nil && slices.ContainsFunc(latest.files, s.query.settles):
		return false
	case err == nil && !s.query.news(latest, r, s.last):
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

// again returns when the same is worth telling once more.
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
	latest, err := s.files.look(ctx, true)
	if err == nil {
		latest, err = s.files.settled(ctx, latest, s.query.settles)
	}
	if err != nil {
		return discovery.Reading{}, err
	}
	return s.query.reading(latest)
}

// Recovered implements [discovery.Recoverer]: what was wrong with the files is
// worth another look as soon as they change.
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
		a.Answer = last.Note + ": " + count(len(last.Endpoints()), "endpoint")
		a.Next = told.Add(rescan)
	}
	a.Remarks = seen.remarks()
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if s.files.deaf != nil {
		a.Remarks = append(a.Remarks, fmt.Sprintf("looked at every %s: %s", deafScan, discovery.Printable(s.files.deaf.Error(), 200)))
	}
	return a
}
