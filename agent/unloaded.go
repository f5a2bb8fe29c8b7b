package agent

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

// wrote notes what the state file has of a backend of HAProxy.
func (w *worker) wrote(proxy string, servers []slots.Server, now time.Time) {
	if !w.hasFile {
		return
	}
	if w.rows == nil {
		w.rows = map[string]map[string]row{}
	}
	before, rows := w.rows[proxy], map[string]row{}
	for _, s := range servers {
		if s.Class != slots.Ready || s.Dynamic {
			continue
		}
		r := row{s.Addr, now}
		if was, ok := before[s.Name]; ok && was.addr == s.Addr {
			r.at = was.at
		}
		rows[s.Name] = r
	}
	w.rows[proxy] = rows
}

// judgeLoaded says whether a process that has just come up has the slots of the backends
// as the state file has them: one of them is enough.
func (w *worker) judgeLoaded(names []string, now time.Time) {
	for _, name := range names {
		l := w.locals[name]
		loaded, of := loadedRows(w.rows[l.want.proxy], l.own, now.Add(-settledRow))
		if l.unloaded = of > 0 && loaded == 0; l.unloaded {
			w.note(note{text: "HAProxy came up without what the state file says: it does not load it", backend: name, warn: true,
				detail: fmt.Sprintf("0 of %d slots that were written as ready are; HAProxy needs load-server-state-from-file for this backend, and the same "+
					"file as state_file: slotsync doctor says more", of)})
		}
	}
}

// loadedRows counts the rows from before a time whose slots are there, and those of which
// the slot is as the row says.
func loadedRows(rows map[string]row, own []slots.Server, before time.Time) (loaded, of int) {
	for _, s := range own {
		r, ok := rows[s.Name]
		if !ok || r.at.After(before) {
			continue
		}
		if of++; s.Addr == r.addr && s.Class == slots.Ready {
			loaded++
		}
	}
	return loaded, of
}
