package main

import (
	"encoding/binary"
	"net"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A serverLog is what HAProxy logs of a server, with when it did.
type serverLog struct {
	proxy   int
	at      time.Time
	backend string
	what    string
}

// What is logged: of a server, goesDown and comesUp, and of a connection the
// address of the server that took it.
const (
	goesDown = "is going DOWN for maintenance"
	comesUp  = "is UP/READY"
)

var (
	serverLogged  = regexp.MustCompile(`Server ([^/]+)/\S+ (` + goesDown + `|` + comesUp + `)`)
	connectLogged = regexp.MustCompile(`Connected (\S+) (\S+) --`)
)

// listenForLogs opens the port that HAProxy i logs to. The time of a line is
// when the kernel took it, so that it does not matter how busy the contestants
// keep this process.
func (r *benchRig) listenForLogs(i int) string {
	r.tb.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	if err := stamped(c); err != nil {
		r.tb.Fatal(err)
	}
	r.group.Go(func() {
		buf, oob := make([]byte, 4096), make([]byte, 256)
		for {
			n, oobn, _, _, err := c.ReadMsgUDP(buf, oob)
			if err != nil {
				return // the test ends
			}
			m := serverLogged.FindSubmatch(buf[:n])
			if m == nil {
				m = connectLogged.FindSubmatch(buf[:n])
			}
			if m != nil {
				r.logs <- serverLog{i, stamp(oob[:oobn]), string(m[1]), string(m[2])}
			}
		}
	})
	return c.LocalAddr().String()
}

// stamped asks the kernel to say when datagrams came, socket(7).
func stamped(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	if err != nil {
		return err
	}
	return failed
}

// stamp returns that time; zero if there is none.
func stamp(oob []byte) time.Time {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		// a struct timespec of two 64 bit numbers
		if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Time{}
}

// logged returns when the later of the two HAProxys has logged that of a backend.
func (r *benchRig) logged(backend, what string) time.Time {
	r.tb.Helper()
	at, ok := r.loggedWithin(benchPatience, backend, what)
	if !ok {
		r.tb.Fatalf("not logged within %s: %s %s", benchPatience, backend, what)
	}
	return at
}

// loggedWithin is logged, for what may never come: ok is false then.
func (r *benchRig) loggedWithin(patience time.Duration, backend, what string) (at time.Time, ok bool) {
	var first [2]time.Time
	timeout := time.After(patience)
	for first[0].IsZero() || first[1].IsZero() {
		select {
		case l := <-r.logs:
			if l.backend == backend && l.what == what && first[l.proxy].IsZero() {
				first[l.proxy] = l.at
			}
		case <-timeout:
			return time.Time{}, false
		}
	}
	if first[0].After(first[1]) {
		return first[0], true
	}
	return first[1], true
}
