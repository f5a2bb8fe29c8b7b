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
		{"added", addKind, "New server registered.", okResult, ""},
		{"added with a warning", addKind, "'server web/web4' : something\nNew server registered.", okResult, ""},
		{"check enabled", addKind, "", okResult, ""},
		{"added twice", addKind, "Already exists a server with the same name in backend.", refusedResult, slots.OtherCause},
		{"added with a bad word", addKind, "unknown keyword 'nope'.", refusedResult, slots.OtherCause},
		{"added to a static algorithm", addKind, "Backend must use a dynamic load balancing to support dynamic servers.", refusedResult, slots.NoDynamic},
		{"added to a static algorithm, 3.5", addKind, "Backend does not support dynamic servers : backend 'web' uses a non dynamic load balancing method.", refusedResult, slots.NoDynamic},
		{"added to 2.3", addKind, "Unknown command. Please enter one of the following commands only :", refusedResult, slots.NoDynamic},
		{"added to 2.4", addKind, "This command is restricted to experimental mode only.", refusedResult, slots.NoDynamic},
		{"added without level", addKind, "Permission denied", refusedResult, slots.Level},
		{"deleted", delKind, "Server deleted.", okResult, ""},
		{"deleted twice", delKind, "No such server.", unchangedResult, ""},
		{"deleted while busy", delKind, "Server still has connections attached to it, cannot remove it.", refusedResult, slots.Busy},
		{"deleted while ready", delKind, "Only servers in maintenance mode can be deleted.", refusedResult, slots.OtherCause},
		{"deleted while tracked", delKind, "This server cannot be removed at runtime due to other configuration elements pointing to it.", refusedResult, slots.OtherCause},
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
		{"deletions of 2.6", "Server deleted.\nNo such server.\nName: HAProxy\n\n", []string{"Server deleted.", "No such server.", "Name: HAProxy"}, true},
		{"deletions of 3.0", "Server deleted.\n\nNo such server.\n\nName: HAProxy\n\n", []string{"Server deleted.", "No such server.", "Name: HAProxy"}, true},
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
