package reconciler

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file finds out whether a HAProxy that was restarted has loaded its state file. It
// is told nowhere: where a directive is missing, or names another file or folder, HAProxy
// comes up with empty slots and serves nothing until they are filled again.

// settledRow is how old a row must be: one that was written only just may have come after
// the start of the process that is looked at.
const settledRow = 5 * time.Second

// A row is what the state file says of a slot that is ready.
type row struct {
	addr netip.AddrPort
	at   time.Time // since when
}

// noteRows notes what the state file has of a backend of HAProxy.
func (r *Reconciler) noteRows(proxy string, servers []slots.Server, now time.Time) {
	if !r.options.StateFile {
		return
	}
	if r.fileRows == nil {
		r.fileRows = map[string]map[string]row{}
	}
	before, rows := r.fileRows[proxy], map[string]row{}
	for _, s := range servers {
		if s.Class != slots.Ready || s.Dynamic {
			continue
		}
		line := row{s.Addr, now}
		if was, ok := before[s.Name]; ok && was.addr == s.Addr {
			line.at = was.at
		}
		rows[s.Name] = line
	}
	r.fileRows[proxy] = rows
}

// checkLoaded says whether a process that has just come up has the slots of the backends
// as the state file has them: one of them is enough.
func (r *Reconciler) checkLoaded(names []string, now time.Time) {
	for _, name := range names {
		b := r.backends[name]
		loaded, of := loadedRows(r.fileRows[b.spec.Proxy], b.own, now.Add(-settledRow))
		if b.unloaded = of > 0 && loaded == 0; b.unloaded {
			r.event(Event{Text: "HAProxy came up without what the state file says: it does not load it", Backend: name, Warn: true,
				Detail: fmt.Sprintf("0 of %d slots that were written as ready are; HAProxy needs load-server-state-from-file for this backend, and the same "+
					"file as state_file: slotsync doctor says more", of)})
		}
	}
}

// loadedRows counts the rows from before a time whose slots are there, and those of which
// the slot is as the row says.
func loadedRows(rows map[string]row, own []slots.Server, before time.Time) (loaded, of int) {
	for _, s := range own {
		line, ok := rows[s.Name]
		if !ok || line.at.After(before) {
			continue
		}
		if of++; s.Addr == line.addr && s.Class == slots.Ready {
			loaded++
		}
	}
	return loaded, of
}
