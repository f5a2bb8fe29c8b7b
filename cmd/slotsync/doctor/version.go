package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// A release is a version of HAProxy: 2.6.12.
type release struct{ major, minor, patch int }

// parseRelease reads what "show info" says, as in "2.6.12-1+deb12u4".
func parseRelease(text string) (r release, ok bool) {
	text, _, _ = strings.Cut(text, "-")
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return r, false
	}
	for i, to := range []*int{&r.major, &r.minor, &r.patch}[:len(parts)] {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return r, false
		}
		*to = n
	}
	return r, true
}

// is reports whether r is one of the branch, as in 2.6.
func (r release) is(major, minor int) bool { return r.major == major && r.minor == minor }

func (r release) before(major, minor int) bool {
	return r.major < major || (r.major == major && r.minor < minor)
}

// A known fault of some releases.
type knownFault struct {
	in   func(release) bool
	text string
}

func knownFaults() []knownFault {
	return []knownFault{
		{poolsOld, "it may send requests to the old address of a slot over pooled connections (fixed in 2.6.22, 2.8.15, 3.0.10, 3.1.7): " +
			"slotsync waits until a slot has no sessions; with `http-reuse never` nothing helps but an upgrade"},
		{func(r release) bool { return (r.is(3, 0) && r.patch <= 3) || (r.is(2, 9) && r.patch <= 9) },
			"it loses address changes when many come at once (haproxy#2666, fixed in 3.0.4): slotsync reads back and sends again; upgrade"},
		{func(r release) bool { return r.is(3, 0) && r.patch <= 5 },
			"it leaks connections that other tools open and close on the socket without a command (haproxy#2727): raise `stats maxconn`, or upgrade"},
		{func(r release) bool { return r.is(3, 1) && r.patch == 0 }, "haproxy -c returns a wrong exit code (haproxy#2827, fixed in 3.1.1): upgrade"},
		{func(r release) bool { return r.is(3, 2) && r.patch == 0 },
			"it stalls on commands that other tools pipeline (slotsync sends none ahead): upgrade"},
		{func(r release) bool { return r.is(3, 4) },
			"its master ends (SIGSEGV, seen in 3.4.7), and the workers with it, when it is to reload a file that it cannot parse (`.if` blocks, quotes, `no …`): check each file before"},
		{func(r release) bool { return r.is(3, 4) },
			"it ends (SIGFPE, seen in 3.4.7) when a server is added to a backend that is `disabled`: slotsync adds none there; other tools may"},
	}
}

// poolsOld: the releases without the fix of 2025-03-31 to the purge of idle
// connections.
func poolsOld(r release) bool {
	fixed := map[int]int{6: 22, 8: 15}
	switch {
	case r.major == 2 && fixed[r.minor] > 0:
		return r.patch < fixed[r.minor]
	case r.is(3, 0):
		return r.patch < 10
	case r.is(3, 1):
		return r.patch < 7
	}
	return r.major < 3
}

// judgeVersion says whether a version is supported and what is wrong with it.
func judgeVersion(subject, text string) []Finding {
	f := findings{subject: subject}
	r, ok := parseRelease(text)
	switch {
	case !ok:
		f.add(verdictWarn, "HAProxy's version %q is not understood", text)
		return f.list
	case r.before(2, 4):
		f.add(verdictFail, "HAProxy %s is not supported: 2.6 to 3.x is", text)
		return f.list
	case r.before(2, 6):
		f.add(verdictWarn, "HAProxy %s is not tested: 2.6 to 3.x is supported", text)
	case r.major > 3:
		f.add(verdictWarn, "HAProxy %s is newer than what is tested (3.x)", text)
	default:
		f.add(verdictOK, "HAProxy %s is supported", text)
	}
	for _, known := range knownFaults() {
		if known.in(r) {
			f.add(verdictWarn, "%s", fmt.Sprintf("HAProxy %d.%d.%d: %s", r.major, r.minor, r.patch, known.text))
		}
	}
	return f.list
}
