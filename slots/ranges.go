package slots

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Range is the names of a template's slots: those of "server-template web 5-14" are
// {"web", 5, 14}.
type Range struct {
	Prefix      string
	First, Last int
}

// Name returns the name of the slot with number n, in the range or not.
func (r Range) Name(n int) string { return r.Prefix + strconv.Itoa(n) }

// RangeOf returns the range of own, the slots of one template by number (see [Own]),
// without those that were added at run time. The error says why the template cannot be
// grown without moving slots; the range then holds all of them, and more.
func RangeOf(own []Server, prefix string) (Range, error) {
	r := Range{Prefix: prefix}
	var missing error
	found := false
	for _, s := range own {
		n, ok := Number(s.Name, prefix)
		switch {
		case s.Dynamic || !ok:
			continue
		case !found:
			r.First, r.Last, found = n, n, true
			continue
		case n != r.Last+1 && missing == nil:
			missing = fmt.Errorf("there is no %s between %s and %s: write the slots as one range", r.Name(r.Last+1), r.Name(r.Last), s.Name)
		}
		r.Last = max(r.Last, n)
	}
	if !found {
		return Range{Prefix: prefix, First: 1}, fmt.Errorf("no server is named %s and a number", prefix)
	}
	return r, missing
}

// prefixWithDigits returns the prefix of a template whose servers are named word and
// these numbers. It ends in digits only if the numbers are a range that way, and are
// none otherwise: "web1 1-10" has web11 to web19 and web110.
func prefixWithDigits(word string, numbers []string) string {
	first := numbers[0]
	for k := range len(first) {
		if isRange(numbers, first[:k]) {
			return word + first[:k]
		}
	}
	return word
}

// isRange reports whether what follows prefix in all of numbers is a range, of two
// numbers or more.
func isRange(numbers []string, prefix string) bool {
	var all []int
	for _, s := range numbers {
		rest, ok := strings.CutPrefix(s, prefix)
		n, err := strconv.Atoi(rest)
		if !ok || err != nil || !isNumber(rest) {
			return false
		}
		all = append(all, n)
	}
	slices.Sort(all)
	for i := range all {
		if all[i] != all[0]+i {
			return false
		}
	}
	return true
}
