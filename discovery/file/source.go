package file

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
// a folder that is not there or holds no file at all, and a service of whose files none
// ever could be read.
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

// news reports whether now says anything that last did not, but for what may be gone of
// files that are settling.
func (q Query) news(from snapshot, now, last discovery.Reading) bool {
	settling := map[string]bool{}
	for _, v := range from.files {
		if v.settling {
			settling[partName(v.name)] = true
		}
	}
	before := map[string][]discovery.Endpoint{}
	for _, p := range last.Parts {
		before[p.Name] = p.Endpoints
	}
	for _, p := range now.Parts {
		if settling[p.Name] && adds(p.Endpoints, before[p.Name]) {
			return true
		}
	}
	steady := func(r discovery.Reading) discovery.Reading {
		r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), func(p discovery.Part) bool { return settling[p.Name] })
		return r
	}
	now, last = steady(now), steady(last)
	return !now.Equal(last) || !slices.Equal(now.Gaps(), last.Gaps())
}

// adds reports whether an endpoint of now is not, or is another, in old. Both are sorted.
func adds(now, old []discovery.Endpoint) bool {
	return slices.ContainsFunc(now, func(e discovery.Endpoint) bool {
		i, there := slices.BinarySearchFunc(old, e.Addr, func(o discovery.Endpoint, a netip.AddrPort) int { return o.Addr.Compare(a) })
		return !there || old[i] != e
	})
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

// remarks says of each file that is not whole why that is.
func (s snapshot) remarks() []string {
	var all []string
	if s.closed != nil && s.err == nil {
		all = append(all, "there may be more files: "+s.closed.Error())
	}
	for _, v := range s.files {
		if v.why != "" && len(all) < 10 {
			all = append(all, v.remark())
		}
	}
	return all
}

func (v view) remark() string { return discovery.Printable(v.name, 60) + ": " + v.why }

// partName is that of the part that a file is: its own name, quoted where it cannot be
// shown.
func partName(file string) string {
	if discovery.Printable(file, len(file)) == file {
		return file
	}
	return strconv.QuoteToASCII(file)
}

// reading is what the files say of the service.
func (q Query) reading(s snapshot) (discovery.Reading, error) {
	if s.err != nil {
		return discovery.Reading{}, s.err
	}
	folder := discovery.Part{Name: partName(s.path)}
	if s.closed != nil {
		folder.State, folder.Err = discovery.Unknown, s.closed
	}
	r := discovery.Reading{Note: count(len(s.files), "file")}
	var illegible *view // the first that is named after the service
	answered, targets := false, 0
	for i, v := range s.files {
		if !q.concerns(v) {
			continue
		}
		part, rejected := q.part(v, folder.Name)
		answered = answered || part.State != discovery.Unknown || v.good
		if illegible == nil && part.State == discovery.Unknown && q.meant(v) {
			illegible = &s.files[i]
		}
		r.Parts, r.Rejected = append(r.Parts, part), append(r.Rejected, rejected...)
		targets += len(part.Endpoints)
	}
	switch {
	case illegible != nil && !answered:
		return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "%s", illegible.remark())
	case targets+len(r.Rejected) > discovery.MaxEndpoints:
		return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "more than %d targets", discovery.MaxEndpoints)
	}
	r.Parts = append(r.Parts, folder)
	return r.Normalized(), nil
}

// part is what a file says of the service, and what in it is refused.
func (q Query) part(v view, folder string) (discovery.Part, []discovery.Rejection) {
	part := discovery.Part{Name: partName(v.name), Parent: folder, State: v.state, Why: v.why, Err: v.err()}
	if part.Err != nil {
		part.Why = ""
	}
	var rejected []discovery.Rejection
	for _, i := range v.items {
		switch {
		case !q.wants(i):
		case i.reason == "":
			part.Endpoints = append(part.Endpoints, i.endpoint)
		default:
			rejected = append(rejected, discovery.Rejection{Reason: i.reason, Name: i.endpoint.Name, Value: i.target})
		}
	}
	if part.State == discovery.Whole && len(part.Endpoints) == 0 && len(rejected) > 0 {
		part.State, part.Why = discovery.Partial, "every target is refused"
	}
	return part, rejected
}

// concerns says whether v is a part of what is known of the service. A file that cannot
// be read may hold some of it, and so may one that never could be.
func (q Query) concerns(v view) bool {
	return q.meant(v) || v.state == discovery.Unknown && !v.settling || v.state != discovery.Whole && !v.good ||
		slices.ContainsFunc(v.items, q.wants) || v.state != discovery.Whole && slices.ContainsFunc(v.held, q.wants)
}

// settles says whether more will be known in a moment of a file that is a part.
func (q Query) settles(v view) bool { return v.settling && q.concerns(v) }

func (q Query) wants(i item) bool { return q.Service == "" || q.Service == i.service }

// meant says whether v is named after the service.
func (q Query) meant(v view) bool {
	return q.Service == "" || strings.TrimSuffix(v.name, filepath.Ext(v.name)) == q.Service
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
