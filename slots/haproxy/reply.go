package haproxy

import (
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// bareReplies are answers that HAProxy up to 2.8 sends without their own line
// feed, so that the one which ends every answer is all there is and no empty
// line follows.
var bareReplies = [...]string{
	"Empty weight string empty or preceded by garbage",
	"Trailing garbage in weight string",
	"maxconn string empty or preceded by garbage",
	"health checks are not enabled on this server",
	"provided port is not an integer",
	"provided port is invalid",
	"Server deleted.",
	"Only servers in maintenance mode can be deleted.",
	"Server still has connections attached to it, cannot remove it.",
	"This server cannot be removed at runtime due to other configuration elements pointing to it.",
	"Backend must use a dynamic load balancing to support dynamic servers.",
	"No such server.",  // of "del server"
	"No such backend.", // of "add server" and "del server"
}

// splitAnswers separates the answers to the commands of one line. Each ends in
// an empty line; one without text is the empty line alone. whole is false if
// the last one is cut, or there are more than a line has commands.
func splitAnswers(raw string) (texts []string, whole bool) {
	texts = make([]string, 0, min(strings.Count(raw, "\n\n")+1, maxLine))
	for raw != "" {
		if len(texts) == maxLine {
			return texts, false
		}
		if raw[0] == '\n' {
			texts, raw = append(texts, ""), raw[1:]
			continue
		}
		first, rest, ok := strings.Cut(raw, "\n")
		if ok && isBare(first) && !strings.HasPrefix(rest, "\n") {
			texts, raw = append(texts, first), rest
			continue
		}
		text, rest, ok := strings.Cut(raw, "\n\n")
		if !ok {
			return append(texts, strings.TrimSuffix(raw, "\n")), false
		}
		texts, raw = append(texts, text), rest
	}
	return texts, len(texts) > 0
}

func isBare(text string) bool {
	for _, b := range bareReplies {
		if text == b {
			return true
		}
	}
	return false
}

// A kind is a family of commands, as it is counted.
type kind uint8

const (
	addrKind kind = iota
	weightKind
	stateKind
	addKind
	delKind
	shutKind
	agentKind
	showKind
	kinds = iota
)

// String returns the name that metrics use.
func (k kind) String() string {
	return [kinds]string{"addr", "weight", "state", "add", "del", "shut", "agent", "show"}[k]
}

// A result is what a command came to.
type result uint8

const (
	okResult result = iota
	unchangedResult
	refusedResult
	results = iota
)

// String returns the name that metrics use.
func (r result) String() string { return [results]string{"ok", "unchanged", "refused"}[r] }

// classify judges the whole text of a reply: a good beginning may have a bad
// end, as in "IP changed from …, problem converting port …". cause is "" unless
// it is refused.
func classify(k kind, text string) (r result, cause slots.Cause) {
	switch text {
	case "No such server.":
		if k == delKind {
			return unchangedResult, ""
		}
		return refusedResult, slots.NoServer
	case "No such backend.", "Can't find backend.":
		return refusedResult, slots.NoBackend
	case "Proxy is disabled.":
		return refusedResult, slots.Stopped
	case "Permission denied":
		return refusedResult, slots.Level
	}
	switch k {
	case addrKind:
		return classifyAddr(text)
	case addKind:
		return classifyAdd(text)
	case delKind:
		return classifyDel(text)
	}
	if k == showKind || text == "" {
		return okResult, ""
	}
	if k == weightKind && strings.HasPrefix(text, "Backend is using a static LB algorithm") {
		return refusedResult, slots.NoWeights
	}
	return refusedResult, slots.OtherCause
}

func classifyAddr(text string) (result, slots.Cause) {
	if strings.HasPrefix(text, "Update for the current server address family is only supported") {
		return refusedResult, slots.NoAddress
	}
	r := unchangedResult
	for part := range strings.SplitSeq(strings.TrimSuffix(text, " by 'stats socket command'"), ", ") {
		switch {
		case isChange(part, "IP"), isChange(part, "port"):
			r = okResult
		case part == "nothing changed", part == "no need to change the addr", part == "no need to change the port":
		default:
			return refusedResult, slots.OtherCause
		}
	}
	return r, ""
}

// isChange reports whether part is "WHAT changed from 'x' to 'y'" and no more.
func isChange(part, what string) bool {
	rest, ok := strings.CutPrefix(part, what+" changed from '")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "' to '")
	return ok && strings.HasSuffix(rest, "'") && strings.Count(rest, "'") == 1
}
