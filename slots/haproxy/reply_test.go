package haproxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestClassify(t *testing.T) {
	const by = " by 'stats socket command'"
	for _, c := range []struct {
		name  string
		kind  kind
		text  string
		want  result
		cause slots.Cause
	}{
		{"address and port, old", addrKind, "IP changed from '127.0.0.1' to '10.0.0.1', port changed from '1' to '80'" + by, okResult, ""},
		{"address, old", addrKind, "IP changed from '10.0.0.1' to '10.0.0.2', no need to change the port" + by, okResult, ""},
		{"port, old", addrKind, "no need to change the addr, port changed from '80' to '81'" + by, okResult, ""},
		{"nothing, old", addrKind, "no need to change the addr, no need to change the port" + by, unchangedResult, ""},
		{"address, new", addrKind, "IP changed from '::' to 'fd00::1'" + by, okResult, ""},
		{"port, new", addrKind, "port changed from '+5' to '81'" + by, okResult, ""},
		{"nothing, new", addrKind, "nothing changed", unchangedResult, ""},
		{"half, old", addrKind, "IP changed from '10.0.0.1' to '10.0.0.2', problem converting port 'x' to an int" + by, refusedResult, slots.OtherCause},
		{"half, map", addrKind, "IP changed from '10.0.0.1' to '10.0.0.2', can't change <port> to port map because it is incompatible with current health check port configuration (use 'port' statement from the 'server' directive." + by, refusedResult, slots.OtherCause},
		{"port wrong, new", addrKind, "problem converting port 'x' to an int", refusedResult, slots.OtherCause},
		{"a good beginning", addrKind, "IP changed from '10.0.0.1' to '10.0.0.2' and more", refusedResult, slots.OtherCause},
		{"invalid", addrKind, "Invalid addr 'x'", refusedResult, slots.OtherCause},
		{"empty", addrKind, "", refusedResult, slots.OtherCause},
		{"family, old", addrKind, "Update for the current server address family is only supported through configuration file" + by, refusedResult, slots.NoAddress},
		{"family, new", addrKind, "Update for the current server address family is only supported through configuration file.", refusedResult, slots.NoAddress},
		{"state", stateKind, "", okResult, ""},
		{"state of no kind", stateKind, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.", refusedResult, slots.OtherCause},
		{"weight", weightKind, "", okResult, ""},
		{"static algorithm", weightKind, "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.", refusedResult, slots.NoWeights},
		{"level", weightKind, "Permission denied", refusedResult, slots.Level},
		{"no server", stateKind, "No such server.", refusedResult, slots.NoServer},
		{"no backend", addrKind, "No such backend.", refusedResult, slots.NoBackend},
		{"no backend to show", showKind, "Can't find backend.", refusedResult, slots.NoBackend},
		{"stopped", stateKind, "Proxy is disabled.", refusedResult, slots.Stopped},
		{"unknown", stateKind, "Unknown command: 'set'", refusedResult, slots.OtherCause},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, cause := classify(c.kind, c.text); got != c.want || cause != c.cause {
				t.Errorf("got %s %q; want %s %q", got, cause, c.want, c.cause)
			}
		})
	}
}

func TestSplitAnswers(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      []string
		whole     bool
	}{
		{"nothing", "", []string{}, false},
		{"empty ones", "\n\n\n", []string{"", "", ""}, true},
		{"texts", "a\n\nb\nc\n\n", []string{"a", "b\nc"}, true},
		{"mixed", "\na\n\n\n\nb\n\n", []string{"", "a", "", "", "b"}, true},
		{"cut in a text", "a\n\nb", []string{"a", "b"}, false},
		{"cut before the empty line", "a\n\nb\n", []string{"a", "b"}, false},
		{"without line end, then text", "Trailing garbage in weight string\nadmin\n\n", []string{"Trailing garbage in weight string", "admin"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, whole := splitAnswers(c.raw)
			if !slices.Equal(got, c.want) || whole != c.whole {
				t.Errorf("got %q, %v; want %q, %v", got, whole, c.want, c.whole)
			}
		})
	}
}

func FuzzSplitAnswers(f *testing.F) {
	for _, s := range []string{"", "\n", "a\n\n", "\n\na\nb\n\n\n", "Server deleted.\n\n", "Server deleted.\nx\n\n", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		texts, whole := splitAnswers(raw)
		n := 0
		for _, s := range texts {
			n += len(s) + 1
			if strings.Contains(s, "\n\n") {
				t.Errorf("an empty line in %q", s)
			}
		}
		if n > len(raw)+1 || whole != (raw != "" && (strings.HasSuffix(raw, "\n\n") || raw == "\n")) && !bareEnd(raw) {
			t.Errorf("%q: %q, %v", raw, texts, whole)
		}
		for k := range kind(kinds) {
			for _, s := range texts {
				if r, cause := classify(k, s); (r == refusedResult) != (cause != "") {
					t.Errorf("%s %q: %s, %q", k, s, r, cause)
				}
			}
		}
	})
}

// bareEnd: the last answer is one of those that end early.
func bareEnd(raw string) bool {
	lines := strings.Split(strings.TrimSuffix(raw, "\n"), "\n")
	return isBare(lines[len(lines)-1])
}
