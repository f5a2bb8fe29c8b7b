package file

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	settle = 250 * time.Millisecond // a version that takes away is believed when it lasted so long
	grace  = 2 * time.Second        // and that a file is gone
)

// A memory holds what is known of each file, by name. It is not changed once it
// is made.
type memory map[string]kept

// kept is what is known of a file: the version that is there, and what is in
// force, which is the last version that could be read and has settled.
type kept struct {
	version
	since time.Time // when this version was first seen
	held  []item    // in force
	good  bool      // something is in force, if only that there is nothing
	gone  time.Time // since when there is no file; zero: there is one
}

// see returns what is known after seen was all there is at that time.
func (m memory) see(seen []sight, now time.Time) memory {
	next := make(memory, len(seen))
	for _, s := range seen {
		next[s.name] = m[s.name].becomes(s, now)
	}
	for name, k := range m {
		if _, there := next[name]; there {
			continue
		}
		if k.gone.IsZero() {
			k.gone = now
		}
		if now.Sub(k.gone) < grace {
			next[name] = k
		}
	}
	return next
}

func (k kept) becomes(s sight, now time.Time) kept {
	k.gone = time.Time{}
	if !s.same {
		switch {
		case k.since.IsZero() && s.mtime.Before(now) && !s.mtime.IsZero():
			k.since = s.mtime // nobody has written to it since
		case k.since.IsZero() || s.sum != k.sum:
			k.since = now
		}
		k.version = s.version
	}
	if k.err == nil && !k.pending(now) {
		k.held, k.good = k.items, true
	}
	return k
}

// pending says whether the version that is there may be half of one.
func (k kept) pending(now time.Time) bool {
	return now.Sub(k.since) < settle && (k.err != nil || !k.good || lacks(k.items, k.held))
}

// lacks says whether an endpoint of old is not in now.
func lacks(now, old []item) bool {
	type place struct {
		service string
		addr    netip.AddrPort
	}
	have := make(map[place]bool, len(now))
	for _, i := range now {
		have[place{i.service, i.endpoint.Addr}] = true
	}
	return slices.ContainsFunc(old, func(i item) bool {
		return i.reason == "" && !have[place{i.service, i.endpoint.Addr}]
	})
}

// A view is what counts of a file now.
type view struct {
	name  string
	items []item
	known bool   // false: nothing was ever read of it
	waits bool   // in a moment it will be known why
	why   string // there may be more or less than items; empty: they are all
}

// views returns what counts of all files, by name, and when that has to be
// looked at again though nothing changes; zero: never.
func (m memory) views(now time.Time) (all []view, next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for name, k := range m {
		all = append(all, k.view(name, now))
		switch {
		case !k.gone.IsZero():
			sooner(k.gone.Add(grace))
		case k.pending(now):
			sooner(k.since.Add(settle))
		}
	}
	slices.SortFunc(all, func(a, b view) int { return strings.Compare(a.name, b.name) })
	return all, next
}

func (k kept) view(name string, now time.Time) view {
	v := view{name: name, items: k.held, known: k.good}
	switch {
	case !k.gone.IsZero():
		v.why = "it has just vanished" + stillCounts
	case k.pending(now) && k.err != nil:
		v.waits, v.why = !k.good, "it may be half written"
	case k.pending(now):
		v.items, v.known, v.why = slices.Concat(k.held, k.items), true, "it may be half written"
	case k.err != nil:
		v.why = discovery.Printable(k.err.Error(), 160)
		if k.good {
			v.why += stillCounts
		}
	}
	return v
}

const stillCounts = "; what it held last still counts"

func (v view) equal(w view) bool {
	return v.name == w.name && v.known == w.known && v.waits == w.waits && v.why == w.why && slices.Equal(v.items, w.items)
}
