package haproxy

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Bounds of what is read from one HAProxy, whatever it sends. docs/limits.md has them.
const (
	// maxAnswer bounds what is answered to a line that dumps no servers, maxDump one that
	// does, and maxShown what is read for people, in bytes.
	maxAnswer, maxDump, maxShown = 1 << 20, 32 << 20, 8 << 20
	// maxReads is how many dumps are asked for on one line. Counters are 4 times as long as
	// states, so that 1,000 servers of each backend fit.
	maxReads, statCost = 240, 4
	// maxRow bounds one line of an answer, in bytes, and maxRows the lines of the answer to
	// one command.
	maxRow, maxRows = 256 << 10, 500_000
	// maxServers bounds the servers that are read of one HAProxy.
	maxServers = 100_000
	// maxValues bounds the values of a table for people: 2,000 servers of 130 columns have
	// as many.
	maxValues = 260_000
)

// A meter follows an answer while it comes, so that no more is read than was asked for.
type meter struct {
	commands int // that are to be answered
	limit    int // of all answers together, in bytes

	total int // bytes so far
	ended int // answers that have ended: empty lines
	rows  int // lines of the answer that comes now
	row   int // bytes of the line that comes now
	shown bool
}

// A boundError says that an answer is longer than any that HAProxy gives.
type boundError string

func (e boundError) Error() string { return string(e) }

func (m *meter) add(b []byte) error {
	if m.total += len(b); m.total > m.limit {
		return boundError(fmt.Sprintf("the answer has more than %d bytes", m.limit))
	}
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n')
		if n < 0 {
			return m.addRow(b)
		}
		if err := m.addRow(b[:n]); err != nil {
			return err
		}
		if !m.shown {
			m.ended, m.rows = m.ended+1, 0
		}
		if m.rows++; m.rows > maxRows {
			return boundError(fmt.Sprintf("the answer has more than %d lines to one command", maxRows))
		}
		m.row, m.shown, b = 0, false, b[n+1:]
	}
	// a reply may have an empty line in it that no version known has
	if m.ended > 2*m.commands+16 {
		return boundError(fmt.Sprintf("more answers than the %d that were asked for", m.commands))
	}
	return nil
}

// addRow takes in a part of a line. A prompt alone shows nothing.
func (m *meter) addRow(b []byte) error {
	m.row += len(b)
	switch m.row {
	case 0, 1, 2:
		m.shown = m.shown || len(bytes.Trim(b, "> ")) > 0
	default:
		m.shown = true
	}
	if m.row > maxRow {
		return boundError(fmt.Sprintf("the answer has more than %d bytes on a line", maxRow))
	}
	return nil
}

// grown returns a larger buffer with the same bytes. The last one has room for limit bytes
// and a little.
func grown(buf []byte, limit int) []byte {
	size := 4 * cap(buf)
	if cap(buf) >= maxAnswer {
		size = 2 * cap(buf)
	}
	if 2*size > limit {
		size = max(limit, cap(buf)) + 8<<10
	}
	return append(make([]byte, 0, size), buf...)
}

// asText returns the bytes of buf, which may not be used any more: a long answer is there
// once, not twice.
func asText(buf []byte) string { return unsafe.String(unsafe.SliceData(buf), len(buf)) }
