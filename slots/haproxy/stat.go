package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

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
