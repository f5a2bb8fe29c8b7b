package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// A read is one command that shows servers.
type read struct {
	backend string // "" for all
	stat    bool   // their counters, not their state
	id      int    // of the backend, for its counters; 0 for all
}

func (r read) appendTo(b []byte) ([]byte, error) {
	if r.stat {
		return appendShowStat(b, r.id)
	}
	return appendShowState(b, r.backend)
}

// stateReads lists what shows the backends, all if there are none.
func stateReads(backends []string) ([]read, error) {
	if len(backends) == 0 {
		backends = []string{""}
	}
	var reads []read
	for _, b := range backends {
		if b != "" {
			if err := slots.CheckName(b); err != nil {
				return nil, fmt.Errorf("backend: %w", err)
			}
		}
		reads = append(reads, read{backend: b})
	}
	return reads, nil
}

// statReads lists what shows the counters of the servers that were read, whose
// backends have these numbers.
func statReads(reads []read, ids map[string]int) []read {
	var out []read
	for _, r := range reads {
		if id := ids[r.backend]; id > 0 || r.backend == "" {
			out = append(out, read{backend: r.backend, stat: true, id: id})
		}
	}
	return out
}

// A readLine is a line of reads alone, and which they are.
type readLine struct {
	line
	reads []read
}

func (r read) cost() int {
	if r.stat {
		return statCost
	}
	return 1
}

// packReads puts reads, whose names were checked, on as few lines as may be, of so many
// bytes and [maxReads] at most.
func packReads(reads []read, limit int) []readLine {
	var lines []readLine
	var l readLine
	cost := 0
	for _, r := range reads {
		b := l.read
		if len(b) > 0 {
			b = append(b, ';')
		}
		b, err := r.appendTo(b)
		if err != nil {
			continue
		}
		if (len(b) > limit || cost+r.cost() > maxReads) && len(l.reads) > 0 {
			lines = append(lines, l)
			l, cost = readLine{}, 0
			b, _ = r.appendTo(nil)
		}
		l.read = b
		cost += r.cost()
		l.reads = append(l.reads, r)
		l.line.reads++
	}
	if len(l.reads) > 0 {
		lines = append(lines, l)
	}
	return lines
}

// mergeReads adds what texts, the answers to reads, show to servers, and the numbers of their
// backends to ids unless that is nil. A dump replaces what was there of its backend.
func mergeReads(servers map[string][]slots.Server, ids map[string]int, reads []read, texts []string) error {
	for i, r := range reads {
		var err error
		switch {
		case isNoBackend(texts[i]):
			delete(servers, r.backend)
		case r.stat:
			err = mergeSessions(servers, texts[i])
		default:
			err = mergeState(servers, ids, r.backend, texts[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func room(servers map[string][]slots.Server) int {
	n := maxServers
	for _, list := range servers {
		n -= len(list)
	}
	return n
}

func isNoBackend(text string) bool {
	_, cause := classify(showKind, text)
	return cause == slots.NoBackend || text == "No such proxy."
}

func mergeState(servers map[string][]slots.Server, ids map[string]int, backend, text string) error {
	if backend != "" {
		servers[backend] = nil
	}
	left := room(servers)
	if backend != "" {
		servers[backend] = make([]slots.Server, 0, min(strings.Count(text, "\n"), max(left, 0)))
	}
	// dumps go backend by backend, so the last one found is nearly always right
	var name string
	var list []slots.Server
	err := parseState(text, func(b string, id int, s slots.Server) error {
		if backend != "" && b != backend {
			return fmt.Errorf("a server of %s in the answer for %s", b, backend)
		}
		if left--; left < 0 {
			return fmt.Errorf("more than %d servers", maxServers)
		}
		if b != name {
			if name != "" {
				servers[name] = list
			}
			name = strings.Clone(b)
			list = servers[name]
			if id > 0 && ids != nil {
				ids[name] = id
			}
		}
		list = append(list, s)
		return nil
	})
	if name != "" {
		servers[name] = list
	}
	return err
}

func mergeSessions(servers map[string][]slots.Server, text string) error {
	var name string
	var find func(string) *slots.Server
	return parseSessions(text, func(backend, server string, sessions int, served bool) {
		if backend != name || find == nil {
			name, find = strings.Clone(backend), slots.FindNamed(servers[backend])
		}
		if s := find(server); s != nil {
			s.Sessions, s.Served = sessions, served
		}
	})
}

// parseSessions takes the current sessions (scur) of each server, and whether it ever had
// one (stot), out of the CSV of "show stat" (Management Guide, 9.1). Errors name the line.
func parseSessions(text string, each func(backend, server string, sessions int, served bool)) error {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	r.LazyQuotes = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("show stat: line 1: %w", err)
	}
	px, sv, cur := slices.Index(header, "pxname"), slices.Index(header, "svname"), slices.Index(header, "scur")
	total := slices.Index(header, "stot")
	if px < 0 || sv < 0 || cur < 0 {
		return errors.New("show stat: line 1: no column pxname, svname or scur")
	}
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("show stat: %w", err)
		}
		line, _ := r.FieldPos(0)
		if len(rec) <= max(px, sv, cur, total) {
			return fmt.Errorf("show stat: line %d: %d fields", line, len(rec))
		}
		n, err := strconv.Atoi(rec[cur])
		if err != nil || n < 0 {
			return fmt.Errorf("show stat: line %d: scur: %q is no number", line, printable(rec[cur]))
		}
		each(rec[px], rec[sv], n, n > 0 || total >= 0 && strings.Trim(rec[total], "0") != "")
	}
}
