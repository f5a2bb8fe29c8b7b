package slots

import "slices"

// What a [Dump] can be of.
const (
	DumpInfo    = "info"    // the process: one row
	DumpStat    = "stat"    // frontends, backends and servers, with their counters
	DumpSess    = "sess"    // sessions
	DumpServers = "servers" // the state of all servers
)

// Dumps lists them.
var Dumps = [...]string{DumpInfo, DumpStat, DumpSess, DumpServers}

// A Dump is a table that an instance shows of itself, under HAProxy's own names.
// The zero value is an empty one.
type Dump struct {
	// Columns are in HAProxy's order.
	Columns []string `json:"columns"`
	// Rows have a value for each column that HAProxy shows of them.
	Rows []map[string]string `json:"rows"`
}

// Add appends a row of names and values in turn.
func (d *Dump) Add(pairs ...string) {
	row := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !slices.Contains(d.Columns, pairs[i]) {
			d.Columns = append(d.Columns, pairs[i])
		}
		row[pairs[i]] = pairs[i+1]
	}
	d.Rows = append(d.Rows, row)
}
