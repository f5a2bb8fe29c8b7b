package reload

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// around is how many equal lines are shown beside changed ones.
	around = 3
	// maxEdits bounds what the search for the shortest diff may cost: its memory
	// grows with the square. Texts that differ more are shown as replaced.
	maxEdits = 1000
)

// An edit is one line of a diff: ' ' both have it, '-' the old one, '+' the new.
type edit struct {
	op   byte
	line string
}

// unified returns the diff of two texts in the format of "diff -u".
func unified(from, to, a, b string) string {
	if a == b {
		return ""
	}
	edits := diff(split(a), split(b))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", from, to)
	oldLine, newLine, done := 1, 1, 0
	for start, end := hunk(edits, 0); start < end; start, end = hunk(edits, end) {
		oldLine, newLine = oldLine+start-done, newLine+start-done
		oldLines, newLines := count(edits[start:end])
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(oldLine, oldLines), span(newLine, newLines))
		for _, e := range edits[start:end] {
			out.WriteByte(e.op)
			out.WriteString(e.line)
			if !strings.HasSuffix(e.line, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
		oldLine, newLine, done = oldLine+oldLines, newLine+newLines, end
	}
	return out.String()
}

// split returns lines with their ends.
func split(s string) []string {
	return slices.Collect(strings.Lines(s))
}

// span is a range as in a hunk's head; an empty one begins after the line before.
func span(first, lines int) string {
	switch lines {
	case 0:
		return fmt.Sprintf("%d,0", first-1)
	case 1:
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d,%d", first, lines)
}

func count(edits []edit) (oldLines, newLines int) {
	for _, e := range edits {
		if e.op != '+' {
			oldLines++
		}
		if e.op != '-' {
			newLines++
		}
	}
	return oldLines, newLines
}

// hunk returns the next stretch of edits with changes, and what is around them;
// an empty one at the end. Changes with up to twice that between are one.
func hunk(edits []edit, from int) (start, end int) {
	first := from
	for first < len(edits) && edits[first].op == ' ' {
		first++
	}
	if first == len(edits) {
		return len(edits), len(edits)
	}
	last := first
	for i := first; i < len(edits) && i <= last+2*around+1; i++ {
		if edits[i].op != ' ' {
			last = i
		}
	}
	return max(from, first-around), min(len(edits), last+1+around)
}

// diff returns the edits that make b of a.
func diff(a, b []string) []edit {
	var head, tail []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	equal := 0
	for equal < len(a) && equal < len(b) && a[len(a)-1-equal] == b[len(b)-1-equal] {
		equal++
	}
	for _, line := range a[len(a)-equal:] {
		tail = append(tail, edit{' ', line})
	}
	a, b = a[:len(a)-equal], b[:len(b)-equal]
	return append(append(head, middle(a, b)...), tail...)
}

// middle finds the shortest edits (Myers, An O(ND) Difference Algorithm, 1986),
// or replaces all if they are many.
func middle(a, b []string) []edit {
	trace, found := search(a, b)
	if !found {
		return replaced(a, b)
	}
	return walk(a, b, trace)
}

func replaced(a, b []string) []edit {
	edits := make([]edit, 0, len(a)+len(b))
	for _, line := range a {
		edits = append(edits, edit{'-', line})
	}
	for _, line := range b {
		edits = append(edits, edit{'+', line})
	}
	return edits
}

// search returns, for each number of edits d, how far each diagonal -d..d got
// in a. The last one reaches the end of both.
func search(a, b []string) (trace [][]int32, found bool) {
	for d := range min(len(a)+len(b), maxEdits) + 1 {
		reach := make([]int32, 2*d+1)
		for k := -d; k <= d; k += 2 {
			x := begin(trace, d, k)
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			reach[k+d] = int32(x)
			if x >= len(a) && x-k >= len(b) {
				return append(trace, reach), true
			}
		}
		trace = append(trace, reach)
	}
	return nil, false
}

// begin returns where in a diagonal k of d edits begins.
func begin(trace [][]int32, d, k int) int {
	if d == 0 {
		return 0
	}
	if down(trace, d, k) {
		return at(trace, d-1, k+1)
	}
	return at(trace, d-1, k-1) + 1
}

// down reports whether the last of d edits that lead to diagonal k adds a line
// of b, rather than taking one of a.
func down(trace [][]int32, d, k int) bool {
	return k == -d || k != d && at(trace, d-1, k-1) < at(trace, d-1, k+1)
}

func at(trace [][]int32, d, k int) int { return int(trace[d][k+d]) }

// walk goes back from the end of both texts to their beginnings.
func walk(a, b []string, trace [][]int32) []edit {
	x, y := len(a), len(b)
	edits := make([]edit, 0, x+y)
	for d := len(trace) - 1; d >= 0; d-- {
		k := x - y
		for stop := begin(trace, d, k); x > stop; x, y = x-1, y-1 {
			edits = append(edits, edit{' ', a[x-1]})
		}
		switch {
		case d == 0:
		case down(trace, d, k):
			y--
			edits = append(edits, edit{'+', b[y]})
		default:
			x--
			edits = append(edits, edit{'-', a[x]})
		}
	}
	slices.Reverse(edits)
	return edits
}
