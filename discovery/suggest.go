package discovery

import "fmt"

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
	if len(word) > 64 {
		return ""
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
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
