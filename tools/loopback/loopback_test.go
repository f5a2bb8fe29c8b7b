package loopback

import (
	"net"
	"strconv"
	"testing"
)

// TestPort: no port is given twice, each can be listened on, and none is of those that
// connections take.
func TestPort(t *testing.T) {
	seen := map[int]bool{}
	for range 300 {
		port, err := Port()
		if err != nil || seen[port] || port < lowest || port >= outgoing() {
			t.Fatalf("port %d, %v; seen: %t", port, err, seen[port])
		}
		seen[port] = true
	}
	for port := range seen {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		if free(port) == nil {
			t.Errorf("port %d is called free, and somebody listens", port)
		}
		_ = l.Close()
		break
	}
}
