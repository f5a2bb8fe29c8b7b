package file

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	settle = 250 * time.Millisecond // a version that takes away is believed when it lasted so long
	grace  = 2 * time.Second        // and that a file is gone
	// patience is how long a caller that wants to be sure waits for a file that is
	// written to all the time.
	patience = 3 * time.Second
)

// A memory holds what is known of each file, by name. It is not changed once it
// is made.
type memory map[string]known

// known is what is known of a file: the version that is there, and what the last one
// held that could be read and has settled.
type known struct {
	version
	since    time.Time // when this version was first seen
	held     []item
	good     bool      // a version has settled, if only to say that there is nothing
	gone     time.Time // since when the file is missing; zero: it is there
	unlisted bool      // the folder could not be listed: there may be one
}

// updated returns what is known after the files in seen were found at that time. listed
// says that there are no others: the folder could be listed.
func (m memory) updated(seen []seenFile, listed bool, now time.Time) memory {
	next := make(memory, len(seen))
	for _, s := range seen {
		next[s.name] = m[s.name].updated(s, now)
	}
	for name, k := range m {
		if _, there := next[name]; there {
			continue
		}
		k.unlisted = !listed
		if listed && k.gone.IsZero() {
			k.gone = now
		}
		if !listed || now.Sub(k.gone) < grace {
			next[name] = k
		}
	}
	return next
}

func (k known) updated(s seenFile, now time.Time) known {
	k.gone, k.unlisted = time.Time{}, false
	if !s.unchanged {
		switch {
		case k.since.IsZero() && s.mtime.Before(now) && !s.mtime.IsZero():
			k.since = s.mtime // it was not written to since
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
func (k known) pending(now time.Time) bool {
	return now.Sub(k.since) < settle && (k.err != nil || !k.good || lacks(k.items, k.held))
}

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

// A view is what a file says now.
type view struct {
	name             string
	items            []item
	held             []item // what it said when it last had settled,
	good             bool   // if it ever had
	state            discovery.Completeness
	why              string // it is not whole
	mayBeHalfWritten bool   // it may be half written or replaced: more is known in a moment
}

// views returns what all files say, by name, and when they have to be looked at again
// though nothing changes; zero: never.
func (m memory) views(now time.Time) (all []view, next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for name, k := range m {
		all = append(all, k.view(name, now))
		switch {
		case k.unlisted:
		case !k.gone.IsZero():
			sooner(k.gone.Add(grace))
		case k.pending(now):
			sooner(k.since.Add(settle))
		}
	}
	slices.SortFunc(all, func(a, b view) int { return strings.Compare(a.name, b.name) })
	return all, next
}

func (k known) view(name string, now time.Time) view {
	v := view{name: name, held: k.held, good: k.good}
	switch {
	case k.unlisted:
		v.state, v.why = discovery.Unknown, "it cannot be read, and its folder cannot be listed"
	case !k.gone.IsZero():
		v.state, v.why, v.mayBeHalfWritten = discovery.Unknown, "it has just vanished", true
	case k.pending(now) && k.err != nil:
		v.state, v.why, v.mayBeHalfWritten = discovery.Unknown, halfWritten, true
	case k.pending(now):
		v.items, v.state, v.why, v.mayBeHalfWritten = k.items, discovery.Partial, halfWritten, true
	case k.err != nil:
		v.state, v.why = discovery.Unknown, discovery.Printable(k.err.Error(), 160)
	default:
		v.items = k.items
	}
	return v
}

const halfWritten = "it may be half written"

func (v view) equal(w view) bool {
	return v.name == w.name && v.state == w.state && v.why == w.why && v.mayBeHalfWritten == w.mayBeHalfWritten && v.good == w.good &&
		slices.Equal(v.items, w.items) && slices.Equal(v.held, w.held)
}

func (v view) err() error {
	if v.state != discovery.Unknown {
		return nil
	}
	return &discovery.Error{Class: discovery.Protocol, Err: errors.New(v.why)}
}
