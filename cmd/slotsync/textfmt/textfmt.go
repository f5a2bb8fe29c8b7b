// Package textfmt writes what commands print, errors among it: in one line, bounded, and
// without anything that a terminal would obey.
package textfmt

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/slotsync/slotsync/discovery"
)

// Count returns "1 slot" and "2 slots".
func Count(n int, what string) string { return discovery.Count(n, what) }

// DidYouMean is what to add to a message about an unknown word.
func DidYouMean(word string, known []string) string { return discovery.DidYouMean(word, known) }

// Printable returns text of any number of lines, with a dot for each control character.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return '.'
	}, text)
}

// Clip returns a word that came from outside, cut to what fits into a line.
func Clip(s string) string { return discovery.Printable(s, 60) }

// Duration returns 5m where [time.Duration.String] returns 5m0s.
func Duration(d time.Duration) string { return discovery.Duration(d) }

// About returns a time that has passed, or is left: see [discovery.About].
func About(d time.Duration) string { return discovery.About(d) }

// AboutSeconds is [About] for a number of seconds.
func AboutSeconds(n float64) string { return discovery.AboutSeconds(n) }

// Clock returns the time of day in UTC, with the date where that is not today's.
func Clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.Truncate(24 * time.Hour).Equal(now.Truncate(24 * time.Hour)) {
		return at.Format("15:04:05Z")
	}
	return at.Format("2006-01-02 15:04:05Z")
}

// OneLine returns text with its line breaks as semicolons, cut to 2000 bytes.
func OneLine(text string) string {
	return discovery.Printable(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "), 2000)
}

// List joins the first words, at most that many, and counts the rest.
func List(words []string, most int) string {
	if len(words) > most {
		words = append(append([]string{}, words[:most]...), fmt.Sprintf("%d more", len(words)-most))
	}
	return OneLine(strings.Join(words, ", "))
}
