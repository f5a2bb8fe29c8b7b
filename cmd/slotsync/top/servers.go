package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A severity is how a line is doing.
type severity int

const (
	severityPlain severity = iota
	severityFine
	severityOdd
	severityBad
	severityIdle
)

// serverColumns are hatop's, by HAProxy's names of them.
func serverColumns() (fields []string, columns []column) {
	for _, c := range []struct {
		field, head string
		show        func(string) string
	}{
		{"status", "STATUS", nil}, {"weight", "W", nil}, {"check_status", "CHECK", nil}, {"act", "ACT", nil}, {"bck", "BCK", nil},
		{"qcur", "QCUR", nil}, {"qmax", "QMAX", nil}, {"qlimit", "QLIM", nil}, {"scur", "SCUR", nil}, {"smax", "SMAX", nil}, {"slim", "SLIM", nil},
		{"stot", "STOT", rounded}, {"bin", "BIN", rounded}, {"bout", "BOUT", rounded}, {"ereq", "EREQ", nil}, {"econ", "ECON", nil}, {"eresp", "ERSP", nil},
		{"dreq", "DREQ", nil}, {"dresp", "DRSP", nil}, {"wretr", "RETR", nil}, {"lastchg", "LASTCHG", lasting}, {"downtime", "DOWN", lasting}, {"chkfail", "FAIL", nil},
	} {
		fields, columns = append(fields, c.field), append(columns, column{head: c.head, show: c.show})
	}
	return fields, columns
}

// serverTable lists what every instance counts, or the one that is chosen.
func (m model) serverTable() table {
	fields, columns := serverColumns()
	t := table{columns: slices.Concat(heads("INSTANCE", "SERVER", "ENDPOINT", "HELD"), columns, heads("NAME"))}
	slots := slotsByName(m.seen.status)
	for i, dump := range m.seen.stats {
		if m.instance != 0 && m.instance != i+1 {
			continue
		}
		for _, row := range dump.Rows {
			name := row["pxname"] + "/" + row["svname"]
			at := slots[name]
			if at.free && !m.all {
				continue
			}
			instance := m.seen.status.Instances[i].Name
			r := tableRow{cells: []string{instance, name, at.endpoint, cmp.Or(at.held[instance], at.kept)}, severity: severityOf(row["status"]), backend: at.backend, server: at.endpoint}
			for _, f := range fields {
				r.cells = append(r.cells, row[f])
			}
			r.cells = append(r.cells, at.title)
			t.rows = append(t.rows, r)
		}
	}
	return t
}

// A slotInfo is what the agent knows of a server of HAProxy's.
type slotInfo struct {
	backend, endpoint string
	free              bool
	title             string            // what people call the endpoint
	held              map[string]string // by whom, where somebody does, by instance
	kept              string            // [api.Kept] if the endpoint is
}

// slotsByName finds slots, and backends, by HAProxy's names.
func slotsByName(s api.Status) map[string]slotInfo {
	all := map[string]slotInfo{}
	for _, b := range s.Backends {
		all[b.Backend+"/BACKEND"] = slotInfo{backend: b.Name}
		for _, slot := range b.Slots {
			held, kept := map[string]string{}, ""
			if b.KeptOf(slot.Endpoint) != nil {
				kept = api.Kept
			}
			for _, in := range slot.Instances {
				held[in.Instance] = in.HeldBy
			}
			all[b.Backend+"/"+slot.Name] = slotInfo{b.Name, slot.Endpoint, slot.Endpoint == "", slot.Title, held, kept}
		}
	}
	return all
}

// severityOf reads HAProxy's word for a state.
func severityOf(status string) severity {
	switch word, _, _ := strings.Cut(status, " "); word {
	case "UP", "OPEN":
		return severityFine
	case "DOWN", "STOP":
		return severityBad
	case "MAINT":
		return severityIdle
	case "NOLB", "DRAIN":
		return severityOdd
	}
	return severityPlain // "no check" says nothing
}

func rounded(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		if n < 1000 {
			if unit == "" {
				return text
			}
			return fmt.Sprintf("%.1f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0fP", n)
}

func lasting(text string) string {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return text
	}
	return textfmt.AboutSeconds(float64(n))
}
