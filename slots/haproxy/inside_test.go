package haproxy

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestDialFault(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		errno syscall.Errno
		want  slots.Fault
		says  string
	}{
		{syscall.EACCES, slots.Denied, "it is srw-rw---- "},
		{syscall.EPERM, slots.Denied, "add this user to the group"},
		{syscall.EAGAIN, slots.Crowded, "stats maxconn"},
		{syscall.ENOENT, slots.Absent, "is HAProxy running"},
		{syscall.ECONNREFUSED, slots.Absent, "not running"},
		{syscall.EHOSTUNREACH, slots.Absent, "no route"},
		{syscall.ETIMEDOUT, slots.Hung, "timed out"},
	} {
		t.Run(c.errno.Error(), func(t *testing.T) {
			err := dialFault(address{"unix", path}, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", c.errno)})
			if err.Fault != c.want || err.Sent || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want %s with %q", err, c.want, c.says)
			}
		})
	}
	if got := ownership(filepath.Join(dir, "none")); !strings.Contains(got, "directory") {
		t.Errorf("got %q", got)
	}
}

// An address that read back once and was changed by somebody before the others did is not proved.
func TestProofIsTheLastLook(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	r := newRound(&Client{}, slots.Process{Version: "3.0"}, []slots.Change{{Backend: "web", Slot: "web1", Kind: slots.Fill, Addr: addr}})
	for _, shown := range []string{"127.0.0.1:80", "127.0.0.1:81"} {
		r.outcome.View.Servers["web"] = []slots.Server{{Name: "web1", Addr: netip.MustParseAddrPort(shown)}}
		r.prove()
		if proved := len(r.unproved()) == 0; proved != (shown == addr.String()) {
			t.Errorf("%s is proved: %t", shown, proved)
		}
	}
}

// Replies that cannot be told apart leave the judgement to the read-back.
func TestUnderstandTolerates(t *testing.T) {
	const info = "Name: HAProxy\nVersion: 2.6\nPid: 1\n\n"
	c := &Client{}
	for _, k := range []struct {
		name, raw string
		writes    int
		known     bool
	}{
		{"all there", "a\n\n\n" + info + "DUMP\n\n", 2, true},
		{"no line end, then nothing", "Trailing garbage in weight string\n\n" + info + "DUMP\n\n", 2, false},
		{"one too many", "\n\n\n" + info + "DUMP\n\n", 2, false},
	} {
		t.Run(k.name, func(t *testing.T) {
			a, err := c.parse(k.raw, line{writes: k.writes, reads: 1})
			if err != nil || len(a.reads) != 1 || a.reads[0] != "DUMP" || (a.writes != nil) != k.known {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
	const big = "The command line is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.\n"
	if _, err := c.parse(big, line{writes: 1}); err == nil || !strings.Contains(err.Error(), "tune.bufsize") {
		t.Errorf("got %v", err)
	} else if f, sent := slots.FaultOf(err); f != slots.Garbled || sent {
		t.Errorf("got %s, sent %v", f, sent)
	}
}

// TestStandInName: one socket has one name however its path is written; sockets of one
// path in other folders, as chroots have them, have others.
func TestStandInName(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	name := standInName(realPath(filepath.Join(dir, "s")))
	for _, same := range []string{filepath.Join(dir, "link", "s"), dir + "/./s", dir + "//link/link/s"} {
		if got := standInName(realPath(same)); got != name || !strings.HasPrefix(name, "@slotsync:") {
			t.Errorf("%s: %s, not %s", same, got, name)
		}
	}
	for _, not := range []string{filepath.Join(other, "s"), filepath.Join(dir, "t")} {
		if got := standInName(not); got == name {
			t.Errorf("%s: %s too", not, got)
		}
	}
	if got := standInName("/nowhere/at/all/s"); got != "" {
		t.Errorf("without a folder: %s", got)
	}
}
func TestStateLines(t *testing.T) {
	s := slots.Server{Name: "web1", Weight: 5, Initial: 100}
	for _, c := range []struct {
		name     string
		class    slots.Class
		disabled bool
		addr     string
		want     string
	}{
		{"ready", slots.Ready, true, "10.0.0.1:80", "0 web 0 web1 10.0.0.1 2 4 5 100 0 1 0 2 8 0 0 0 - 80 -\n"},
		{"parked", slots.Maint, true, "10.0.0.1:80", "0 web 0 web1 10.0.0.1 2 5 5 100 0 1 0 0 8 0 0 0 - 80 -\n"},
		{"drain", slots.Drain, true, "[fd00::1]:80", "0 web 0 web1 fd00::1 2 12 5 100 0 1 0 2 8 0 0 0 - 80 -\n"},
		{"ready, enabled", slots.Ready, false, "10.0.0.1:80", "0 web 0 web1 10.0.0.1 2 0 5 100 0 1 0 2 8 0 0 0 - 80 -\n"},
		{"parked, enabled", slots.Maint, false, "10.0.0.1:80", "0 web 0 web1 10.0.0.1 2 1 5 100 0 1 0 0 8 0 0 0 - 80 -\n"},
		{"drain, enabled", slots.Drain, false, "10.0.0.1:80", "0 web 0 web1 10.0.0.1 2 8 5 100 0 1 0 2 8 0 0 0 - 80 -\n"},
		{"no address", slots.Maint, true, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s
			s.Class, s.Disabled = c.class, c.disabled
			if c.addr != "" {
				s.Addr, _ = parseAddr(splitHostPort(t, c.addr))
			}
			got, err := stateLines("web", 0, []slots.Server{s})
			if string(got) != c.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	for i, bad := range []slots.Server{{Name: "a b"}, {Name: "a\n"}, {}} {
		if got, err := stateLines("web", 0, []slots.Server{bad}); err == nil {
			t.Errorf("%d: got %q", i, got)
		}
	}
	for _, backend := range []string{"", "..", ".", "../x", "a b", "a\nb"} {
		if got, err := stateLines(backend, 0, nil); err == nil {
			t.Errorf("%q: got %q", backend, got)
		}
	}
}

func splitHostPort(t *testing.T, s string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// TestDifference: whatever does not read back as it was set is one.
func TestDifference(t *testing.T) {
	one, two := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")
	all := slots.Change{Kind: slots.Fill, Addr: one, Weight: 20, Class: slots.Ready, SetClass: true}
	server := slots.Server{Addr: one, Weight: 20, Class: slots.Ready}
	with := func(f func(*slots.Server)) slots.Server { s := server; f(&s); return s }
	for _, c := range []struct {
		name   string
		change slots.Change
		server slots.Server
		want   string
	}{
		{"as it was set", all, server, ""},
		{"the address", all, with(func(s *slots.Server) { s.Addr = two }), "address 10.0.0.2:80"},
		{"the weight", all, with(func(s *slots.Server) { s.Weight = 19 }), "weight 19"},
		{"a weight that is an agent's", all, with(func(s *slots.Server) { s.Weight, s.AgentOn = 19, true }), ""},
		{"the state", all, with(func(s *slots.Server) { s.Class = slots.Drain }), "state drain"},
		{"still in service", slots.Change{Kind: slots.Empty, Class: slots.Maint, SetClass: true}, server, "state ready"},
		{"what was not set", slots.Change{Kind: slots.Weigh, Weight: 20}, with(func(s *slots.Server) { s.Addr, s.Class = two, slots.Maint }), ""},
		{"ready without an address", slots.Change{Kind: slots.Enable, Class: slots.Ready, SetClass: true}, with(func(s *slots.Server) { s.Addr = netip.AddrPort{} }), "no address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := difference(c.change, c.server); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

func TestDifferenceOfAnAddedServer(t *testing.T) {
	for _, c := range []struct {
		name, options string
		checked       bool
		want          string
	}{
		{"without checks", "inter 1s", false, ""},
		{"checked", "check inter 1s", true, ""},
		{"not checked", "inter 1s check", false, "no health checks"},
		{"agent alone", "agent-check agent-port 9", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := difference(slots.Change{Kind: slots.Add, Options: c.options}, slots.Server{Checked: c.checked}); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}
