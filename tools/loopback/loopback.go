// Package loopback finds ports of 127.0.0.1 for the servers that tests start.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

const (
	// lowest is the first port that is given. Those below are known for services.
	lowest = 12000
	// usual is where Linux begins to take ports for connections that go out, ip(7).
	usual = 32768
	// tries is how many ports are looked at.
	tries = 200
)

// given are the ports that this process has, whoever asked: between being found and being
// used, nothing else shows that they are somebody's.
var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Port returns a port on which nobody listens, for TCP and UDP, and which this process
// was not given before. It is not among those that the kernel takes for connections that
// go out, so that it stays free until it is used, and while a server is restarted. It
// fails if no such port is found.
func Port() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	var last error
	for range tries {
		port := lowest + rand.IntN(outgoing()-lowest)
		if given[port] {
			continue
		}
		if last = free(port); last == nil {
			given[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 is free: %w", last)
}

// free returns why nobody can listen on a port.
func free(port int) error {
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", at)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return errors.Join(l.Close(), u.Close())
}

// outgoing is the first port that the kernel takes by itself.
func outgoing() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil || first < lowest+tries {
		return usual // rather one that may be taken than none
	}
	return first
}
