package haproxytest_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestRelay(t *testing.T) {
	f := haproxytest.NewFake(t, "3.2", haproxytest.Backend{Name: "web"})
	r := haproxytest.NewRelay(t, f.Socket)
	if got := haproxytest.Ask(t, r.Socket, "show cli level"); got != "admin\n\n" {
		t.Errorf("got %q", got)
	}
	if got := r.Transcript(); !slices.Equal(got, []string{"show cli level\n"}) || !haproxytest.Reads(got) {
		t.Errorf("got %q", got)
	}
	r.Forget()

	cut := make(chan struct{})
	r.CutAfter(10, func() { close(cut) })
	conn := dial(t, r.Socket)
	io.WriteString(conn, "set server web/web1 state ready\n")
	<-cut
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("got %q after a cut", got)
	}
	if got := r.Transcript(); !slices.Equal(got, []string{"set server"}) || haproxytest.Reads(got) {
		t.Errorf("got %q", got)
	}

	release := r.Hold()
	conn = dial(t, r.Socket)
	io.WriteString(conn, "show cli level\n")
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 10)); n > 0 || err == nil {
		t.Error("an answer while held")
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	release()
	if got, err := io.ReadAll(conn); string(got) != "admin\n\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func dial(t *testing.T, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestFakeChangesProcess(t *testing.T) {
	f := haproxytest.NewFake(t, "2.6", haproxytest.Backend{Name: "web", Slots: 3})
	held := dial(t, f.Socket)
	io.WriteString(held, "prompt\nset server web/web1 state ready\n")
	readUntil(t, held, "\n> \n> ")
	if got := f.String(); got != "HAProxy 2.6, pid 4000\nweb/web1 127.0.0.1:1 4 100\n" {
		t.Errorf("got %q", got)
	}
	f.Reload(haproxytest.Backend{Name: "web", Slots: 5})
	io.WriteString(held, "set server web/web1 state drain\n")
	readUntil(t, held, "Proxy is disabled.\n\n> ")
	io.WriteString(held, "show info\n")
	if got := readUntil(t, held, "\n> "); !strings.Contains(got, "Pid: 4000\n") || !strings.Contains(got, "Stopping: 1\n") {
		t.Errorf("got %q", got)
	}
	if got := haproxytest.Ask(t, f.Socket, "get weight web/web5"); got != "100 (initial 100)\n\n" || f.Pid() != 4001 {
		t.Errorf("got %q of %d", got, f.Pid())
	}
	f.Restart()
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives its process")
	}
	if f.Pid() != 4002 {
		t.Errorf("got %d", f.Pid())
	}
}

func readUntil(t *testing.T, conn net.Conn, end string) string {
	t.Helper()
	var got []byte
	for !strings.HasSuffix(string(got), end) {
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("%q, %v; want %q", got, err, end)
		}
		got = append(got, b[:n]...)
	}
	return string(got)
}

func TestFakeShowsAddressesLate(t *testing.T) {
	f := haproxytest.NewFake(t, "3.0", haproxytest.Backend{Name: "web", Slots: 1})
	f.SetDelay(time.Hour)
	const at = "set server web/web1 addr 127.9.0.1 port 80"
	if got := haproxytest.Ask(t, f.Socket, at+";"+at); strings.Count(got, "IP changed from '127.0.0.1'") != 2 {
		t.Errorf("got %q", got)
	}
	if got := haproxytest.Ask(t, f.Socket, "show servers state web"); strings.Contains(got, "127.9.0.1") {
		t.Errorf("got %s", got)
	}
	haproxytest.Ask(t, f.Socket, "wait 1ms")
	if got := haproxytest.Ask(t, f.Socket, "show servers state web"); !strings.Contains(got, " 127.9.0.1 ") {
		t.Errorf("got %s", got)
	}
}
