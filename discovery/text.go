package discovery

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Count returns "1 slot" and "2 slots".
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Printable returns s cut to most runes, with everything that is not printable
// ASCII or a printable letter replaced by a dot: what came from outside and is
// shown on a terminal, in a log line or on a page goes through it.
func Printable(s string, most int) string {
	if len(s) <= most && isPlain(s) {
		return s
	}
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			return string(out) + "…"
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			r = '.'
		}
		out = append(out, r)
	}
	return string(out)
}

// isPlain reports whether s is printable ASCII, as nearly everything is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Duration returns 5m where [time.Duration.String] returns 5m0s.
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// About returns a time that has passed, or is left, in its largest two units, as exactly as
// people want it; 0 for one that is negative.
func About(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return Duration(d.Round(time.Millisecond))
	case d < 10*time.Second:
		return Duration(d.Round(100 * time.Millisecond))
	case d < time.Hour:
		return Duration(d.Round(time.Second))
	case d < 48*time.Hour:
		return Duration(d.Round(time.Minute))
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// AboutSeconds is [About] for a number of seconds.
func AboutSeconds(n float64) string { return About(time.Duration(n * float64(time.Second))) }

// DidYouMean returns what to add to a message about an unknown word: the known
// one that is nearest, if any is near enough to have been meant.
func DidYouMean(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// Nearest returns the known word that is nearest, "" if none is near enough.
func Nearest(word string, known []string) string {
	best, distance := "", min(max(2, len(word)/3)+1, len(word)) // so that something is the same
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete, replace or swap with their
// neighbour (Damerau) to turn a into b. Words beyond 64 bytes are never near.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := last[j]
			if a[i] != b[j] {
				same++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, same)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
