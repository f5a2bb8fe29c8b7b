package daemon

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestIsAt: an address is the configured one however it is written, so that no warning is given for nothing.
func TestIsAt(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	unix := &net.UnixAddr{Name: filepath.Join(dir, "s.sock"), Net: "unix"}
	for _, tt := range []struct {
		opened     net.Addr
		configured string
		want       bool
	}{
		{tcp("127.0.0.1", 9750), "127.0.0.1:9750", true},
		{tcp("127.0.0.1", 9750), "localhost:9750", true},
		{tcp("127.0.0.1", 9750), "[::ffff:127.0.0.1]:9750", true},
		{tcp("::1", 9750), "[0:0:0:0:0:0:0:1]:9750", true},
		{tcp("::", 9750), ":9750", true},
		{tcp("::", 9750), "0.0.0.0:9750", true},
		{tcp("127.0.0.1", 80), "127.0.0.1:http", true},
		{tcp("127.0.0.1", 9751), "127.0.0.1:9750", false},
		{tcp("127.0.0.2", 9750), "127.0.0.1:9750", false},
		{tcp("::", 9750), "127.0.0.1:9750", false}, // it is open to everybody
		{tcp("127.0.0.1", 9750), "", false},
		{unix, filepath.Join(dir, "s.sock"), true},
		{unix, filepath.Join(dir, "link", "s.sock"), true},
		{unix, filepath.Join(dir, "other.sock"), false},
		{unix, "", false},
	} {
		if got := isAt(tt.opened, tt.configured); got != tt.want {
			t.Errorf("%s for %q: %t", tt.opened, tt.configured, got)
		}
	}
}
