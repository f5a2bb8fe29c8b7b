package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file finds the addresses that no feed may remove.

// findUnmanaged finds the unmanaged addresses of b at instances where they were not looked
// for, drops those that are gone, or that the source lists or an operator added by now, and
// returns the slots that they have anywhere, with the address. changed: they are others at
// some instance.
func (b *backend) findUnmanaged() (out placement.Unmanaged, changed bool) {
	out = placement.Unmanaged{}
	for _, in := range b.served {
		at := in.at(b.Name)
		if at.Own == nil || at.Problem != "" {
			changed = at.unmanaged.DropOwned(b.owns) || changed
			continue
		}
		if !at.searched && b.answered {
			at.unmanaged = b.search(in)
			at.searched, at.corrected = true, true
			changed = true // until then nothing is written there
		}
		changed = at.unmanaged.Refresh(at.Own, b.owns) || changed
		before := at.alone
		at.alone = maps.Clone(b.leftAlone(at))
		changed = changed || !maps.Equal(before, at.alone)
		maps.Copy(out, at.unmanaged)
	}
	return out, changed
}

// reserved are the slots that are left alone at some of the instances, with the address.
func (b *backend) reserved() placement.Unmanaged {
	if len(b.expired) == 0 {
		return b.unmanaged
	}
	out := maps.Clone(b.unmanaged)
	for _, in := range b.served {
		maps.Copy(out, b.leftAlone(in.at(b.Name)))
	}
	return out
}

// leftAlone are those of one instance: what is unmanaged, and what somebody took out of service
// whose endpoint may not have left.
func (b *backend) leftAlone(at *backendAt) placement.Unmanaged {
	if len(b.expired) == 0 {
		return at.unmanaged
	}
	out := placement.Unmanaged{}
	for number, e := range at.Externals {
		out[number] = e.Addr
	}
	maps.Copy(out, at.Undecided)
	server := slots.FindServer(at.Own)
	maps.DeleteFunc(out, func(number int, a netip.AddrPort) bool {
		s := server(number)
		return !b.expired[a] || s != nil && s.Addr != a // another process may have something else there
	})
	maps.Copy(out, at.unmanaged)
	return out
}

// unmanagedAt are the unmanaged addresses of b at in, or those that would be if they had been
// looked for, or were before it was heard of.
func (b *backend) unmanagedAt(in *instance) placement.Unmanaged {
	at := in.at(b.Name)
	switch {
	case at.searched:
		return maps.Clone(at.unmanaged)
	case at.Own == nil:
		return at.unmanagedThen
	}
	return b.search(in)
}

// search finds the unmanaged addresses of b at in. What somebody put there since the state was
// stored, in the same process, is none, when it is searched first.
func (b *backend) search(in *instance) placement.Unmanaged {
	at := in.at(b.Name)
	found := placement.FindUnmanaged(at.Own, b.owns)
	if in.continued && !at.corrected {
		b.placement.DropTaken(found, at.unmanagedThen)
	}
	return found
}

// viewsToAdopt are the views of b to make the table of.
func (b *backend) viewsToAdopt() [][]slots.Server {
	var out [][]slots.Server
	for _, in := range b.served {
		at := in.at(b.Name)
		if at.Own == nil || at.Problem != "" {
			continue
		}
		view := at.Usable
		if in.continued {
			view = b.placement.WithoutTaken(view, at.unmanagedThen, b.owns)
		}
		out = append(out, view)
	}
	return out
}

// misfits reports whether the sources may be those of another service: they list none
// of the addresses that take traffic, and never did.
func (b *backend) misfits() bool {
	if len(b.unmanaged) == 0 {
		return false
	}
	listed := discovery.ByAddr(b.guard.Published())
	return placement.IsMisfit(b.views(), func(a netip.AddrPort) bool {
		_, ok := listed[a]
		return ok || b.owns(a)
	})
}

// takeoverID is the id under which the unmanaged addresses of b can be accepted.
func (b *backend) takeoverID() string { return guard.ID("t", b.unmanagedOf()) }

// acceptTakeover has those go that id stood for when it was shown and that no source has listed
// since.
func (b *backend) acceptTakeover(id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	b.noteTakeover()
	shown, ok := b.shownTakeover.Find(id)
	if !ok {
		return nil, false
	}
	gone = slices.DeleteFunc(b.unmanagedOf(), func(a netip.AddrPort) bool { return !slices.Contains(shown, a) })
	b.feeds[0].known.AddListed(gone, now)
	for _, in := range b.served {
		in.at(b.Name).unmanaged.DropOwned(func(a netip.AddrPort) bool { return slices.Contains(gone, a) })
	}
	b.due = b.due || len(gone) > 0
	return gone, true
}

// noteTakeover remembers which addresses wait to be taken over, under their id.
func (b *backend) noteTakeover() { b.shownTakeover.Note(b.takeoverID(), b.unmanagedOf()) }

// unmanagedOf returns the unmanaged addresses of b over all instances, sorted: as they are now,
// also where no slots can be decided about.
func (b *backend) unmanagedOf() []netip.AddrPort {
	all := map[netip.AddrPort]bool{}
	for _, in := range b.served {
		for _, a := range in.at(b.Name).unmanaged {
			if !b.owns(a) {
				all[a] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), netip.AddrPort.Compare)
}
