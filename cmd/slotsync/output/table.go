package output

import (
	"fmt"
	"io"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// maxCell bounds a cell of a table, in runes, but for the last of its line: what is long
// goes there, and must not push anything off the screen. JSON has everything whole.
const maxCell = 60

// tableLine writes one line of a table. Nothing in a cell is obeyed by a terminal, or ends
// the cell.
func tableLine(table io.Writer, cells ...string) {
	last := len(cells) - 1
	for i, text := range cells {
		if cells[i] = textfmt.OneLine(text); i < last {
			cells[i] = discovery.Printable(cells[i], maxCell)
		}
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}
