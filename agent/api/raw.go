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
// Behind that a key or a password may follow, as in the lines of a payload. A line that only
// shows is bounded: everybody may send it, and nobody fills the disk by that.
func Loggable(line string) string {
	var out []string
	first, _, more := strings.Cut(line, "\n")
	for _, command := range commandsIn(first) {
		words := strings.Fields(command)
		if said := wordsSaid(words); len(words) > said {
			words = append(words[:said], "…")
		}
		if len(words) > 0 {
			out = append(out, strings.Join(words, " "))
		}
	}
	if more {
		out = append(out, "…")
	}
	text := strings.Join(out, "; ")
	if OnlyShows(line) {
		return Sanitize(text)
	}
	return discovery.Printable(text, len(text))
}

// wordsSaid is how many words of a command say what is done, and to what: "set maxconn server
// web/web1 10" has one more than "set map /etc/users ann hunter2", and a URL has passwords.
func wordsSaid(words []string) int {
	switch {
	case len(words) > 0 && words[0] == "httpclient":
		return 2
	case len(words) > 3 && fourWords[strings.Join(words[:3], " ")]:
		return 4
	}
	return 3
}

// fourWords are the commands of three words behind which is what they are about.
var fourWords = map[string]bool{
	"set maxconn server": true, "set maxconn frontend": true, "shutdown sessions server": true,
	"set dynamic-cookie-key backend": true, "enable dynamic-cookie backend": true, "disable dynamic-cookie backend": true,
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
