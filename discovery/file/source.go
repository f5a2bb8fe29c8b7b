package file

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Source is what the files say of one service. It is a [discovery.Source].
type Source struct {
	files *Files
	query Query

	mu    sync.Mutex // guards following, never held while reading or waiting
	seen  snapshot   // that last and err are made of
	last  discovery.Reading
	err   error
	told  time.Time // when last was returned by Next; zero: it is told at once
	asked time.Time
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
// A reading is weak if it rests on a file that cannot be read, may be half
// written, or has just vanished; what such a file held last still counts. An
// error is a directory that is not there or holds no file at all, and a file
// that was never legible and could hold the service by its name.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	latest, err := s.first(ctx)
	for err == nil {
		r, problem := s.query.reading(latest)
		if !errors.Is(problem, errUndecided) && s.note(latest, r, problem) {
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
		return s.files.current(ctx)
	}
	latest, _ := s.files.now()
	return latest, ctx.Err()
}

// note keeps what is known now, and says whether it has to be told.
func (s *Source) note(latest snapshot, r discovery.Reading, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	news := s.told.IsZero() || err != nil || now.Sub(s.told) >= rescan || !equal(r, s.last)
	s.seen, s.err, s.asked = latest, err, latest.at
	if err != nil {
		s.told = time.Time{}
		return true
	}
	s.last = r
	if news {
		s.told = now
	}
	return news
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

func equal(a, b discovery.Reading) bool {
	return a.Weak == b.Weak && a.Note == b.Note && slices.Equal(a.Endpoints, b.Endpoints) && slices.Equal(a.Rejected, b.Rejected)
}

// Confirm implements [discovery.Source]: it reads every file, whether it has
// changed or not.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	latest, err := s.files.look(ctx, true)
	for err == nil {
		r, problem := s.query.reading(latest)
		if !errors.Is(problem, errUndecided) {
			return r, problem
		}
		latest, err = s.files.after(ctx, latest.version, time.Now().Add(rescan))
	}
	return discovery.Reading{}, err
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
		a.Answer = last.Note + ": " + count(len(last.Endpoints), "endpoint")
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

// remarks says of each file that does not count as it is why that is.
func (s snapshot) remarks() []string {
	var all []string
	for _, v := range s.files {
		if v.why != "" && len(all) < 10 {
			all = append(all, v.remark())
		}
	}
	return all
}

func (v view) remark() string { return discovery.Printable(v.name, 60) + ": " + v.why }

// errUndecided says that in a moment more will be known.
var errUndecided = errors.New("a file may be half written")

// reading is what the files say of the service.
func (q Query) reading(s snapshot) (discovery.Reading, error) {
	if s.err != nil {
		return discovery.Reading{}, s.err
	}
	var r discovery.Reading
	for _, v := range s.files {
		switch {
		case v.waits && q.meant(v):
			return discovery.Reading{}, errUndecided
		case !v.known && v.why != "" && q.meant(v):
			return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "%s", v.remark())
		}
		q.add(&r, v)
	}
	if len(r.Endpoints)+len(r.Rejected) > discovery.MaxEndpoints {
		return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "more than %d targets", discovery.MaxEndpoints)
	}
	r.Endpoints = discovery.Normalize(r.Endpoints)
	r.Weak = r.Weak || len(r.Endpoints) == 0 && len(r.Rejected) > 0
	r.Note = count(len(s.files), "file")
	if remarks := s.remarks(); len(remarks) > 0 {
		r.Weak = true
		r.Note += "; " + strings.Join(remarks, "; ")
	}
	return r, nil
}

// meant says whether v is named after the service, so that nothing is known of
// it without v.
func (q Query) meant(v view) bool {
	return q.Service == "" || strings.TrimSuffix(v.name, filepath.Ext(v.name)) == q.Service
}

func (q Query) add(r *discovery.Reading, v view) {
	for _, i := range v.items {
		switch {
		case q.Service != "" && q.Service != i.service:
		case i.reason == "":
			r.Endpoints = append(r.Endpoints, i.endpoint)
		default:
			r.Rejected = append(r.Rejected, discovery.Rejection{Reason: i.reason, Name: i.endpoint.Name, Value: i.target})
		}
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
