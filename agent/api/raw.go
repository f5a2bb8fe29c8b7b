package api

import (
	"strings"
	"unicode"

	"github.com/slotsync/slotsync/discovery"
)

// OnlyShows reports whether a line of commands for HAProxy does no more than show something:
// each of its commands is "show" or "help". What is more than a line does more, and what
// follows any ";" counts as a command, also where a backslash may keep HAProxy from that.
func OnlyShows(line string) bool {
	if strings.ContainsFunc(line, unicode.IsControl) {
		return false
	}
	for command := range strings.SplitSeq(line, ";") {
		words := strings.Fields(command)
		if len(words) > 0 && words[0] != "show" && words[0] != "help" {
			return false
		}
	}
	return true
}

// Loggable is what is recorded of a line of commands for HAProxy: what is done, and to what.
// Behind that a key or a password may follow, as in the lines of a payload.
func Loggable(line string) string {
	var out []string
	line, _, more := strings.Cut(line, "\n")
	for _, command := range commandsIn(line) {
		words := strings.Fields(command)
		if len(words) > 3 {
			words = append(words[:3], "…")
		}
		out = append(out, strings.Join(words, " "))
	}
	if more {
		out = append(out, "…")
	}
	text := strings.Join(out, "; ")
	return discovery.Printable(text, len(text))
}

// commandsIn takes a line apart as HAProxy does: a ";" behind a backslash does not end a
// command (management guide, section 9.3).
func commandsIn(line string) []string {
	var out []string
	from := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ';':
			out, from = append(out, line[from:i]), i+1
		}
	}
	return append(out, line[from:])
}
