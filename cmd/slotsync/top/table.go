package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A viewKind is one of the tables.
type viewKind int

const (
	viewInstances viewKind = iota
	viewServers
	viewSources
	viewEvents
	viewOverrides
)

func viewNames() []string { return []string{"instances", "servers", "sources", "events", "overrides"} }

// A column is one column; show turns a value into what people read, nil for as it is.
// One that is whole is cut by the edge of the terminal alone.
type column struct {
	head  string
	show  func(string) string
	whole bool
}

// A tableRow is one line: its values, how it is doing, and what can be done to it.
type tableRow struct {
	cells           []string
	severity        severity
	backend, server string // ours, and the endpoint; "" if there is none; the address alone on all backends
	id              string // of what can be accepted, "" for nothing
}

// A table is what one view shows.
type table struct {
	columns []column
	rows    []tableRow
}

// table is what is shown now: filtered and sorted.
func (m model) table() table {
	var t table
	switch m.view {
	case viewInstances:
		t = instanceTable(m.seen.status)
	case viewServers:
		t = m.serverTable()
	case viewSources:
		t = sourceTable(m.seen.status)
	case viewEvents:
		t = eventTable(m.events, m.seen.status.At)
	case viewOverrides:
		t = overrideTable(m.seen.status)
	}
	if m.filter != "" {
		t.rows = slices.DeleteFunc(t.rows, func(r tableRow) bool {
			return !strings.Contains(strings.ToLower(strings.Join(r.cells, " ")), strings.ToLower(m.filter))
		})
	}
	if m.sorted > 0 && m.sorted <= len(t.columns) {
		slices.SortStableFunc(t.rows, func(a, b tableRow) int { return compareCells(a.cells[m.sorted-1], b.cells[m.sorted-1]) })
	}
	return t
}

// compareCells puts larger numbers first, and texts in their order after them.
func compareCells(a, b string) int {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(y, x)
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

func heads(names ...string) []column {
	var all []column
	for _, name := range names {
		all = append(all, column{head: name})
	}
	return all
}

func instanceTable(s api.Status) table {
	t := table{columns: heads("INSTANCE", "STATE", "HAPROXY", "PID", "LAG", "RESTARTS", "WAITING", "EXTERNAL", "OVERFLOW", "SOCKET")}
	t.columns[1].whole = true // it ends with the last error, which says what to do at its end
	for _, in := range s.Instances {
		level := severityFine
		if !in.Up {
			level = severityBad
		} else if !in.InSync {
			level = severityOdd
		}
		t.rows = append(t.rows, tableRow{severity: level, cells: []string{in.Name, output.InstanceState(in), in.Version, output.Number(in.Pid), fmt.Sprintf("%.1f", in.LagSeconds),
			strconv.Itoa(in.Restarts), strconv.Itoa(in.Waiting), strconv.Itoa(in.External), strconv.Itoa(in.Overflow), in.Socket}})
	}
	return t
}

// sourceTable lists what each source says, and under it what can be accepted to go: backends of
// which anything is odd first, since there may be hundreds.
func sourceTable(s api.Status) table {
	t := table{columns: heads("BACKEND", "SOURCE", "ENDPOINTS", "AGE", "ASKS", "STATE")}
	var groups [][]tableRow
	for _, b := range s.Backends {
		level := severityFine
		if len(b.Acceptable()) > 0 || b.Problem != "" || len(b.Overflow) > 0 || b.Paused != nil {
			level = severityOdd
		}
		rows := []tableRow{{severity: level, backend: b.Name, cells: []string{b.Name, "", strconv.Itoa(len(b.Endpoints)), "", "", output.BackendState(b, s.At)}}}
		for _, src := range s.Sources {
			if src.Backend != b.Name {
				continue
			}
			level := severityFine
			switch {
			case src.State == "none yet", src.State == "ok" && len(src.Parts)+src.PartsMore > 0:
				level = severityOdd
			case src.State != "ok":
				level = severityBad
			}
			rows = append(rows, tableRow{severity: level, backend: b.Name, cells: []string{b.Name, src.Name, strconv.Itoa(src.Endpoints),
				fmt.Sprintf("%.0f", src.AgeSeconds), src.Asks, output.SourceState(src)}})
		}
		for _, x := range b.Acceptable() {
			rows = append(rows, tableRow{severity: severityOdd, backend: b.Name, id: x.ID, cells: []string{b.Name, x.Kind, strconv.Itoa(len(x.Endpoints)),
				fmt.Sprintf("%.0f", s.At.Sub(x.Since).Seconds()), x.ID, x.Reason + ": " + textfmt.List(x.Endpoints, 10)}})
		}
		groups = append(groups, rows)
	}
	worst := func(rows []tableRow) severity {
		return slices.MaxFunc(rows, func(a, b tableRow) int { return cmp.Compare(a.severity, b.severity) }).severity
	}
	slices.SortStableFunc(groups, func(a, b []tableRow) int { return cmp.Compare(worst(b), worst(a)) })
	t.rows = slices.Concat(groups...)
	return t
}

func eventTable(events []api.Event, now time.Time) table {
	t := table{columns: heads("WHEN", "KIND", "BACKEND", "INSTANCE", "WHAT")}
	for _, e := range events {
		t.rows = append(t.rows, tableRow{backend: e.Backend, cells: []string{textfmt.Clock(e.At, now), e.Kind, e.Backend, e.Instance, e.Text}})
	}
	return t
}

func overrideTable(s api.Status) table {
	t := table{columns: heads("BACKEND", "ENDPOINT", "ASKED FOR")}
	for _, r := range output.Overrides(s) {
		t.rows = append(t.rows, tableRow{severity: severityOdd, backend: r.Backend, server: r.Endpoint, cells: []string{r.Where, r.Endpoint, r.Text}})
	}
	return t
}

// nothing says why a view is empty, and what would be there.
func (m model) nothing() string {
	if unfiltered := m.unfiltered(); m.filter != "" && len(unfiltered.table().rows) > 0 {
		return fmt.Sprintf("nothing here has %q in it: esc shows everything", textfmt.Clip(m.filter))
	}
	if m.view == viewEvents {
		return "no event yet: what changes is listed here, newest first"
	}
	if m.seen.status.At.IsZero() {
		return "nothing is known: the agent has not answered yet"
	}
	return map[viewKind]string{
		viewInstances: "no HAProxy is configured: what each of them runs, and how far behind it is, would be here",
		viewServers:   m.noServers(),
		viewSources:   "no backend is configured: its sources, and what the guard holds, would be here",
		viewOverrides: "nobody has asked for anything: what operators drain, stop, weigh, add and pause is listed here",
	}[m.view]
}

func (m model) noServers() string {
	asked := m.seen.status.Instances
	if m.instance > 0 {
		asked = asked[m.instance-1 : m.instance]
	}
	answers := slices.ContainsFunc(asked, func(in api.InstanceStatus) bool { return in.Up })
	switch {
	case !answers && m.instance > 0:
		return textfmt.Clip(asked[0].Name) + " does not answer: its servers and their counters would be here (1 says why)"
	case !answers:
		return "no HAProxy answers: servers and their counters would be here (1 says why)"
	case len(m.everyServer().rows) > 0:
		return "every slot is free: a shows them"
	}
	for i, err := range m.seen.unsaid {
		if err != nil && (m.instance == 0 || m.instance == i+1) {
			return textfmt.OneLine("no counters: " + err.Error())
		}
	}
	return "HAProxy has shown no counters yet"
}

func (m model) unfiltered() model {
	m.filter, m.cursor = "", 0
	return m
}

// everyServer lists servers, those in free slots too.
func (m model) everyServer() table {
	m.all = true
	return m.serverTable()
}
