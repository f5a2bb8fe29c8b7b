package haproxy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestCommands(t *testing.T) {
	a := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	long := strings.Repeat("x", slots.MaxName)
	for _, c := range []struct {
		name string
		make func() ([]byte, error)
		want string // "": refused
	}{
		{"addr", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("10.0.0.1:80")) }, "set server web/web1 addr 10.0.0.1 port 80"},
		{"addr of IPv6", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("[fd00::1]:65535")) }, "set server web/web1 addr fd00::1 port 65535"},
		{"addr of IPv4 in IPv6", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("[::ffff:10.0.0.1]:80")) }, "set server web/web1 addr 10.0.0.1 port 80"},
		{"addr with a zone", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("[fe80::1%eth0;x]:80")) }, ""},
		{"addr with port 0", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("10.0.0.1:0")) }, ""},
		{"addr unspecified", func() ([]byte, error) { return appendAddr(nil, "web", "web1", a("[::ffff:0.0.0.0]:80")) }, ""},
		{"addr of nothing", func() ([]byte, error) { return appendAddr(nil, "web", "web1", netip.AddrPort{}) }, ""},
		{"weight", func() ([]byte, error) { return appendWeight(nil, "a.b", "c:1-_", 256) }, "set server a.b/c:1-_ weight 256"},
		{"weight negative", func() ([]byte, error) { return appendWeight(nil, "web", "web1", -1) }, ""},
		{"weight too large", func() ([]byte, error) { return appendWeight(nil, "web", "web1", 257) }, ""},
		{"state", func() ([]byte, error) { return appendState(nil, "web", "web1", slots.Drain) }, "set server web/web1 state drain"},
		{"state of no kind", func() ([]byte, error) { return appendState(nil, "web", "web1", 3) }, ""},
		{"add", func() ([]byte, error) {
			return appendAdd(nil, "web", "web21", a("10.0.0.1:80"), 100, " check  inter 1s")
		}, "add server web/web21 10.0.0.1:80 weight 100 check inter 1s"},
		{"add of IPv6", func() ([]byte, error) { return appendAdd(nil, "web", "web21", a("[fd00::1]:80"), 0, "") }, "add server web/web21 [fd00::1]:80"},
		{"add of IPv4 in IPv6", func() ([]byte, error) { return appendAdd(nil, "web", "web21", a("[::ffff:10.0.0.1]:80"), 1, "") }, "add server web/web21 10.0.0.1:80 weight 1"},
		{"add with port 0", func() ([]byte, error) { return appendAdd(nil, "web", "web21", a("10.0.0.1:0"), 1, "") }, ""},
		{"add with a second command", func() ([]byte, error) { return appendAdd(nil, "web", "web21", a("10.0.0.1:80"), 1, "check;quit") }, ""},
		{"add with too large a weight", func() ([]byte, error) { return appendAdd(nil, "web", "web21", a("10.0.0.1:80"), 257, "") }, ""},
		{"enable", func() ([]byte, error) { return appendServer(nil, "enable health", "web", "web21", "") }, "enable health web/web21"},
		{"del", func() ([]byte, error) { return appendServer(nil, "del server", "web", "web21", "") }, "del server web/web21"},
		{"del of two", func() ([]byte, error) {
			return appendServer(nil, "del server", "web", "web21;del server web/web22", "")
		}, ""},
		{"longest name", func() ([]byte, error) { return appendState(nil, "web", long, slots.Ready) }, "set server web/" + long + " state ready"},
		{"too long a name", func() ([]byte, error) { return appendState(nil, "web", long+"x", slots.Ready) }, ""},
		{"no name", func() ([]byte, error) { return appendState(nil, "", "web1", slots.Ready) }, ""},
		{"a second command", func() ([]byte, error) { return appendState(nil, "web", "web1 state ready;show info", slots.Ready) }, ""},
		{"a second command without a blank", func() ([]byte, error) { return appendState(nil, "web;help", "web1", slots.Ready) }, ""},
		{"a second command without a blank, of a server", func() ([]byte, error) { return appendState(nil, "web", "web1;help", slots.Ready) }, ""},
		{"a second line", func() ([]byte, error) { return appendShowState(nil, "web\nshow info") }, ""},
		{"a NUL", func() ([]byte, error) { return appendShowState(nil, "web\x00") }, ""},
		{"no number", func() ([]byte, error) { return appendShowStat(nil, -1) }, ""},
		{"a second slash", func() ([]byte, error) { return appendState(nil, "web/web1", "x", slots.Ready) }, ""},
		{"state of one", func() ([]byte, error) { return appendShowState(nil, "web") }, "show servers state web"},
		{"state of all", func() ([]byte, error) { return appendShowState(nil, "") }, "show servers state"},
		{"stat of one", func() ([]byte, error) { return appendShowStat(nil, 7) }, "show stat 7 4 -1"},
		{"stat of all", func() ([]byte, error) { return appendShowStat(nil, 0) }, "show stat -1 4 -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.make()
			if string(got) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

var oneCommand = regexp.MustCompile(`^(set server [A-Za-z0-9_.:-]+/[A-Za-z0-9_.:-]+ (addr [0-9a-f.:]+ port [0-9]+|weight [0-9]+|state (ready|drain|maint))|` +
	`add server [A-Za-z0-9_.:-]+/[A-Za-z0-9_.:-]+ [0-9a-f.:\[\]]+( [A-Za-z0-9_.:/+,()\[\]%@=!*-]+){0,60}|(del server|enable agent) [A-Za-z0-9_.:-]+/[A-Za-z0-9_.:-]+|` +
	`show servers state( [A-Za-z0-9_.:-]+)?|show stat (-1|[1-9][0-9]*) 4 -1)$`)

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"web", "web1;show info", "web;help", "web\n", "web\x00;x", "a b", "a\\;b", "@1", "#1", "../x", "wéb", strings.Repeat("a", 2000)} {
		f.Add(s, s, "fe80::1%"+s, uint16(80), 5, byte(1))
		f.Add("web", s, "10.0.0.1", uint16(0), -5, byte(9))
		f.Add("web", "check inter 1s "+s, "10.0.0.1", uint16(80), 5, byte(1))
	}
	f.Fuzz(func(t *testing.T, backend, server, ip string, port uint16, weight int, class byte) {
		a, _ := netip.ParseAddr(ip)
		keep := []byte("before;")
		for i, make := range []func([]byte) ([]byte, error){
			func(b []byte) ([]byte, error) { return appendAddr(b, backend, server, netip.AddrPortFrom(a, port)) },
			func(b []byte) ([]byte, error) { return appendWeight(b, backend, server, weight) },
			func(b []byte) ([]byte, error) { return appendState(b, backend, server, slots.Class(class)) },
			func(b []byte) ([]byte, error) {
				return appendAdd(b, backend, "web1", netip.AddrPortFrom(a, port), weight, server)
			},
			func(b []byte) ([]byte, error) { return appendServer(b, "enable agent", backend, server, "") },
			func(b []byte) ([]byte, error) { return appendServer(b, "del server", backend, server, "") },
			func(b []byte) ([]byte, error) { return appendShowState(b, backend) },
			func(b []byte) ([]byte, error) { return appendShowStat(b, weight) },
		} {
			got, err := make(keep)
			command, ok := strings.CutPrefix(string(got), string(keep))
			switch {
			case !ok:
				t.Errorf("%d: what was there is gone: %q", i, got)
			case err != nil && command != "":
				t.Errorf("%d: %q besides %v", i, command, err)
			case err == nil && (!oneCommand.MatchString(command) || len(command) > 400+maxOptionBytes):
				t.Errorf("%d: %q", i, command)
			}
		}
	})
}
