package doctor

import (
	"github.com/slotsync/slotsync/agent/api"
	"slices"

	"github.com/hashicorp/go-version"
)

// A knownFault is what is wrong with the releases that match one of the constraints.
type knownFault struct {
	releases []string
	text     string
}

func knownFaults() []knownFault {
	return []knownFault{
		{[]string{"< 2.6.22", ">= 2.7, < 2.8.15", ">= 2.9, < 3.0.10", "~> 3.1.0, < 3.1.7"},
			"it may send requests to the old address of a slot over pooled connections (fixed in 2.6.22, 2.8.15, 3.0.10, 3.1.7): " +
				"slotsync waits until a slot has no sessions; with `http-reuse never` nothing helps but an upgrade"},
		{[]string{"~> 2.9.0, <= 2.9.9", "~> 3.0.0, <= 3.0.3"},
			"it loses address changes when many come at once (haproxy#2666, fixed in 3.0.4): slotsync reads back and sends again; upgrade"},
		{[]string{"~> 3.0.0, <= 3.0.5"},
			"it leaks connections that other tools open and close on the socket without a command (haproxy#2727): raise `stats maxconn`, or upgrade"},
		{[]string{"3.1.0"}, "haproxy -c returns a wrong exit code (haproxy#2827, fixed in 3.1.1): upgrade"},
		{[]string{"3.2.0"}, "it stalls on commands that other tools pipeline (slotsync sends none ahead): upgrade"},
		{[]string{"~> 3.4.0"},
			"its master ends (SIGSEGV, seen in 3.4.7), and the workers with it, when it is to reload a file that it cannot parse (`.if` blocks, quotes, `no …`): check each file before"},
		{[]string{"~> 3.4.0"},
			"it ends (SIGFPE, seen in 3.4.7) when a server is added to a backend that is `disabled`: slotsync adds none there; other tools may"},
	}
}

// matches reports whether v satisfies the constraint, which the tests know to be one.
func matches(v *version.Version, constraint string) bool {
	return version.MustConstraints(version.NewConstraint(constraint)).Check(v)
}

// parseRelease reads what "show info" says, as in "2.6.12-1+deb12u4": what a distribution
// appends makes no difference.
func parseRelease(text string) (*version.Version, error) {
	v, err := version.NewVersion(text)
	if err != nil {
		return nil, err
	}
	return v.Core(), nil
}

func judgeVersion(subject, text string) []api.Finding {
	f := findings{subject: subject}
	v, err := parseRelease(text)
	if err != nil {
		f.add(api.VerdictWarn, "HAProxy's version %q is not understood", text)
		return f.list
	}
	switch {
	case matches(v, "< 2.4"):
		f.add(api.VerdictFail, "HAProxy %s is not supported: 2.6 to 3.x is", text)
		return f.list
	case matches(v, "< 2.6"):
		f.add(api.VerdictWarn, "HAProxy %s is not tested: 2.6 to 3.x is supported", text)
	case matches(v, ">= 4"):
		f.add(api.VerdictWarn, "HAProxy %s is newer than what is tested (3.x)", text)
	default:
		f.add(api.VerdictOK, "HAProxy %s is supported", text)
	}
	for _, known := range knownFaults() {
		if slices.ContainsFunc(known.releases, func(constraint string) bool { return matches(v, constraint) }) {
			f.add(api.VerdictWarn, "HAProxy %s: %s", v, known.text)
		}
	}
	return f.list
}
