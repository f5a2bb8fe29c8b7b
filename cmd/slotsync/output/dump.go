package output

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// maxNamed bounds the instances that are named together.
const maxNamed = 20

// An Answer is what one instance answered.
type Answer[T any] struct {
	Instance string `json:"instance"`
	Error    string `json:"error,omitempty"`
	Value    T      `json:"answer"`
}

// WriteDumps prints what the instances showed.
func WriteDumps(w io.Writer, what string, got []Answer[slots.Dump], columns []string, format string) error {
	for i := range got {
		got[i].Value.Columns = chosenColumns(got[i].Value.Columns, columns)
	}
	if format == "json" {
		for i := range got {
			keepColumns(&got[i].Value)
		}
		return WriteJSON(w, got)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if what == "info" {
		sideBySide(table, got)
	} else {
		rows(table, got)
	}
	return table.Flush()
}

// chosenColumns are those of all that are wanted, in the order in which they are.
func chosenColumns(all, wanted []string) []string {
	if len(wanted) == 0 || slices.Contains(wanted, "all") {
		return all
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !slices.Contains(all, c) })
}

// keepColumns drops the values of other columns. Lists are there also where there is
// nothing in them.
func keepColumns(d *slots.Dump) {
	d.Columns, d.Rows = append([]string{}, d.Columns...), append([]map[string]string{}, d.Rows...)
	for i, row := range d.Rows {
		kept := map[string]string{}
		for _, c := range d.Columns {
			if v, ok := row[c]; ok {
				kept[c] = v
			}
		}
		d.Rows[i] = kept
	}
}

// columnsOf returns the columns that any of them has.
func columnsOf(got []Answer[slots.Dump]) (columns []string) {
	for _, g := range got {
		for _, c := range g.Value.Columns {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	return columns
}

// sideBySide writes one line for each figure, with a column for each instance.
func sideBySide(table *tabwriter.Writer, got []Answer[slots.Dump]) {
	heads := []string{"FIGURE"}
	for _, g := range got {
		heads = append(heads, g.Instance)
	}
	tableLine(table, heads...)
	for _, line := range columnsOf(got) {
		values := []string{line}
		for _, g := range got {
			value := ""
			for _, row := range g.Value.Rows {
				value = row[line]
			}
			values = append(values, dash(value))
		}
		tableLine(table, values...)
	}
}

// rows writes the rows of every instance under one head.
func rows(table *tabwriter.Writer, got []Answer[slots.Dump]) {
	columns, heads := columnsOf(got), []string{"INSTANCE"}
	for _, c := range columns {
		heads = append(heads, strings.ToUpper(c))
	}
	tableLine(table, heads...)
	for _, g := range got {
		for _, row := range g.Value.Rows {
			values := []string{g.Instance}
			for _, c := range columns {
				values = append(values, dash(row[c]))
			}
			tableLine(table, values...)
		}
	}
}

// Unanswered reports the instances that did not answer, those with the same reason together.
func Unanswered[T any](got []Answer[T]) error {
	var reasons []string
	names := map[string][]string{} // by reason
	for _, g := range got {
		if g.Error == "" {
			continue
		}
		if names[g.Error] == nil {
			reasons = append(reasons, g.Error)
		}
		names[g.Error] = append(names[g.Error], textfmt.Clip(g.Instance))
	}
	var errs []error
	for _, reason := range reasons {
		errs = append(errs, fmt.Errorf("%s: %s", textfmt.List(names[reason], maxNamed), reason))
	}
	return errors.Join(errs...)
}

// WriteAnswers prints answers, under the name of the instance if there are several. They may
// hold what clients sent: unless they are wanted as they came, nothing in them reaches a
// terminal as an order, also through a pipe.
func WriteAnswers(w io.Writer, got []Answer[string], asTheyCame bool) error {
	for _, g := range got {
		if g.Error != "" {
			continue
		}
		if len(got) > 1 {
			fmt.Fprintf(w, "== %s\n", textfmt.Clip(g.Instance))
		}
		text := g.Value
		if !asTheyCame {
			text = textfmt.Printable(text)
		}
		if _, err := io.WriteString(w, strings.TrimRight(text, "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
