package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// This file keeps the map from slots to the names of instances, so that HAProxy can write names into its log.

const (
	// maxMapFile bounds the file of the map that is read at the start, in bytes; maxMapName a name in it.
	maxMapFile, maxMapName = 8 << 20, 100
	slotMapMode            = 0o644
	// mapTime is how long a HAProxy may take for the map; what it lacks then it gets the next time.
	mapTime = 10 * time.Second
)

// A Mapper has a running HAProxy's map of a file hold these entries, as the Client of slots/haproxy does.
type Mapper interface {
	SyncMap(ctx context.Context, path string, want map[string]string) error
}

// A slotMap is the file of the map and the goroutine that keeps it, and what HAProxies have loaded of it, as it should be.
type slotMap struct {
	path    string
	folders securedir.Policy
	record  func(...happening)
	jobs    chan slotMapJob // the newest that was not begun with

	// entries are those of slots that have an endpoint, and of those that had: a session that ends later is logged with the name
	// that it began with. The loop's; at is when they were handed over last, and to whom. stale: what they are made of
	// may have changed.
	entries map[string]string
	stale   bool
	at      time.Time
	given   map[string]slots.Process
}

// A slotMapJob is the map as it should be, and the HAProxies that answer.
type slotMapJob struct {
	entries map[string]string
	mappers map[string]Mapper // by instance
}

// newSlotMap begins with what the file has: after a restart the names of those that left are still there.
func newSlotMap(o Options, record func(...happening)) *slotMap {
	m := &slotMap{path: o.SlotMap, folders: o.Folders, record: record, jobs: make(chan slotMapJob, 1), entries: map[string]string{}, stale: true}
	if m.path == "" {
		return m
	}
	text, err := m.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.happened("", slog.LevelWarn, "slot map cannot be read; it is written anew", err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 2 && isEntry(words[0], words[1]) {
			m.entries[words[0]] = words[1]
		}
	}
	return m
}

func (m *slotMap) read() ([]byte, error) {
	dir, err := m.folders.Open(filepath.Dir(m.path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	text, _, err := dir.ReadOwn(filepath.Base(m.path), maxMapFile)
	return text, err
}

// offerSlotMap hands the map over if it changed, if a HAProxy is another process, and each resync.
func (a *Agent) offerSlotMap(now time.Time) {
	m := a.slotMap
	overdue := now.Sub(m.at) >= a.timing.Resync
	if m.path == "" || !m.stale && !overdue {
		return
	}
	m.stale = false
	entries, mappers, processes := a.slotNamesNow(m.entries), map[string]Mapper{}, map[string]slots.Process{}
	for _, in := range a.instances {
		if in.up() && in.Maps != nil {
			mappers[in.Name], processes[in.Name] = in.Maps, in.last.Process
		}
	}
	same := maps.EqualFunc(processes, m.given, slots.Process.Same)
	if same && maps.Equal(entries, m.entries) && !overdue {
		return
	}
	m.entries, m.given, m.at = entries, processes, now
	select {
	case <-m.jobs:
	default:
	}
	m.jobs <- slotMapJob{entries, mappers}
}

// slotNamesNow is the map as it should be, by "backend/server". Slots that are there and free keep what before says; while an
// instance has not shown its slots, so do all.
func (c *core) slotNamesNow(before map[string]string) map[string]string {
	out := map[string]string{}
	unseen := false
	for _, b := range c.backends {
		table := slots.FindSlot(b.placement.Table())
		for _, in := range b.served {
			own := in.at(b.Name).Own
			unseen = unseen || own == nil
			for _, s := range own {
				key := b.Proxy + "/" + s.Name
				if slot := table(s.Number); slot != nil && !slot.Free() {
					out[key] = nameInMap(slot.Endpoint)
				} else if name, ok := before[key]; ok {
					out[key] = name
				}
			}
		}
	}
	if unseen {
		for key, name := range before {
			if _, ok := out[key]; !ok {
				out[key] = name
			}
		}
	}
	return out
}

// nameInMap is what the source calls an endpoint, else its address.
func nameInMap(e discovery.Endpoint) string {
	return cmp.Or(slots.AsName(e.Name, maxMapName), e.Addr.String())
}

// isEntry reports whether a line of the file is one that slotsync may have written. HAProxy is
// given all entries or none, so that a line that somebody else wrote must not be among them.
func isEntry(key, name string) bool {
	proxy, server, _ := strings.Cut(key, "/")
	isName := func(s string) bool { return s != "" && slots.AsName(s, len(s)) == s }
	at, err := netip.ParseAddrPort(name)
	return isName(proxy) && isName(server) && (isName(name) && len(name) <= maxMapName || err == nil && at.Addr().Zone() == "")
}

// run writes the file and tells the HAProxies, until ctx is done. Each is told by itself, one thing at a time: one that hangs keeps
// no other from its names.
func (m *slotMap) run(ctx context.Context) {
	type answer struct {
		instance string
		err      error
	}
	told := map[string]string{} // what was wrong last, by instance; "" for the file
	var job slotMapJob
	waiting, busy := map[string]bool{}, map[string]bool{}
	answers := make(chan answer)
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			delete(busy, a.instance)
			m.tell(told, a.instance, a.err)
		case job = <-m.jobs:
			err := m.write(job.entries)
			if err != nil {
				m.record(happening{count: (*metrics.Metrics).SlotMapWriteFailed})
			}
			m.tell(told, "", err)
			for name := range job.mappers {
				waiting[name] = true
			}
		}
		for name := range waiting {
			if busy[name] {
				continue
			}
			delete(waiting, name)
			mapper, entries := job.mappers[name], job.entries
			if mapper == nil {
				continue // it is gone, or does not answer
			}
			busy[name] = true
			group.Go(func() {
				syncing, cancel := context.WithTimeout(ctx, mapTime)
				defer cancel()
				err := mapper.SyncMap(syncing, m.path, entries)
				select {
				case answers <- answer{name, err}:
				case <-ctx.Done():
				}
			})
		}
	}
}

// tell says what is wrong once, and that it no longer is.
func (m *slotMap) tell(told map[string]string, instance string, err error) {
	switch before := told[instance]; {
	case err == nil && before != "":
		told[instance] = ""
		m.happened(instance, slog.LevelInfo, "slot map is as it should be again", nil)
	case err != nil && before != err.Error():
		told[instance] = err.Error()
		m.happened(instance, slog.LevelWarn, "slot map is not as it should be: names in HAProxy's log are old or missing", err)
	}
}

// happened records what became of the file, or of the map of an instance.
func (m *slotMap) happened(instance string, level slog.Level, line string, err error) {
	h := happening{level: level, line: line, attrs: []any{"slot_map", m.path}, event: api.Event{Kind: api.EventNote, Instance: instance}}
	if err != nil {
		h.attrs, h.event.Text = append(h.attrs, "err", err), line+": "+err.Error()
	}
	m.record(h)
}

// write replaces the file in one step, unless it is as it should be.
func (m *slotMap) write(entries map[string]string) error {
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		fmt.Fprintf(&b, "%s %s\n", key, entries[key])
	}
	dir, err := m.folders.Open(filepath.Dir(m.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(m.path)
	if text, _, err := dir.ReadOwn(name, maxMapFile); err == nil && bytes.Equal(text, b.Bytes()) {
		return nil
	}
	return dir.Replace(name, b.Bytes(), securedir.Attributes{Mode: slotMapMode, UID: -1, GID: -1}, nil)
}
