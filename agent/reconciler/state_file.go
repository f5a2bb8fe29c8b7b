package reconciler

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file keeps the state files, and finds out whether a HAProxy that was restarted has loaded
// its own. That is told nowhere: where a directive is missing, or names another file or folder,
// HAProxy comes up with empty slots and serves nothing until they are filled again.

// saveWait is how long a round waits for a disk: what is sent to HAProxy stands in the file
// before, unless the disk takes longer.
const saveWait = 250 * time.Millisecond

// A saved is a state file that was written, or could not be.
type saved struct {
	proxy   string
	servers []slots.Server
	err     error
}

// save has the state files of the backends written as they should be now.
func (r *Reconciler) save(names []string) {
	every := r.names()
	for _, proxy := range r.proxies(names) {
		var servers []slots.Server
		for _, name := range every {
			if b := r.backends[name]; b.spec.Proxy == proxy && b.own != nil && b.problem == "" && (!b.spec.ObserveOnly || slots.HasReady(b.own, nil)) {
				servers = append(servers, b.stateFileRows()...)
			}
		}
		if len(servers) == 0 {
			delete(r.unsaved, proxy)
			delete(r.toSave, proxy)
			continue
		}
		r.toSave[proxy] = servers
	}
	if r.saving != nil || len(r.toSave) == 0 {
		return // what waits is written when the disk has answered
	}
	r.startSaving()
	wait := time.NewTimer(saveWait)
	defer wait.Stop()
	select {
	case done := <-r.saving:
		r.onSaved(done)
	case <-wait.C:
		if !r.diskSlow {
			r.diskSlow = true
			r.event(Event{Text: "state file is not written yet, the disk does not answer: an HAProxy that restarts now starts with older servers", Warn: true})
		}
	}
}

// startSaving writes what waits to be.
func (r *Reconciler) startSaving() {
	job := r.toSave
	r.toSave = map[string][]slots.Server{}
	done := make(chan []saved, 1)
	r.saving = done
	go func() {
		if r.filedBefore != nil {
			<-r.filedBefore // it may write to the same files
		}
		var out []saved
		for _, proxy := range slices.Sorted(maps.Keys(job)) {
			out = append(out, saved{proxy, job[proxy], r.conn.Save(proxy, job[proxy])})
		}
		done <- out
	}()
}

// onSaved takes what came of writing state files, and writes what came meanwhile.
func (r *Reconciler) onSaved(done []saved) {
	r.saving = nil
	for _, s := range done {
		if s.err != nil {
			r.unsaved[s.proxy] = true
			r.event(Event{Kind: StateFileFailed, Text: "state file not written: an HAProxy that restarts now starts with older servers", Detail: s.err.Error(), Warn: true})
			continue
		}
		delete(r.unsaved, s.proxy)
		r.noteRows(s.proxy, s.servers, time.Now())
		if r.nextSync.IsZero() {
			r.nextSync = time.Now().Add(syncAfter)
		}
	}
	if r.diskSlow = r.diskSlow && len(r.toSave) > 0; len(r.toSave) > 0 {
		r.startSaving()
	}
}

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
