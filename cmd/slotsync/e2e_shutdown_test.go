package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestDrainShutdownEndsSessions holds a connection to an endpoint that leaves, and one
// to an endpoint that stays: the first ends, and not before its time is over.
func TestDrainShutdownEndsSessions(t *testing.T) {
	t.Parallel()
	for _, leave := range []slots.Class{slots.Maint, slots.Drain} {
		t.Run(leave.String(), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version string) { shutdownEnds(t, version, leave) })
		})
	}
}

func shutdownEnds(t *testing.T, version string, leave slots.Class) {
	const drain = 1500 * time.Millisecond
	port := haproxytest.FreePort(t)
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Text: fmt.Sprintf(`global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
frontend in
  bind 127.0.0.1:%d
  default_backend web
backend web
  server-template web 1-4 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100
`, port)})
	source := &toldSource{next: make(chan []discovery.Endpoint, 1), said: make(chan time.Time, 9)}
	b := backendOf(source)
	b.Leave, b.Drain, b.Shutdown = leave, drain, true
	r := newRig(t, map[string]string{"a": p.Socket}, b)
	stays, leaves := greeting(t, 's'), greeting(t, 'l')
	source.next <- []discovery.Endpoint{stays, leaves}
	r.start()
	eventually(t, 15*time.Second, func() string { return r.inStep(2) })
	kept, cut := greeted(t, port, 's'), greeted(t, port, 'l')
	left := time.Now()
	source.next <- []discovery.Endpoint{stays}
	if err := cut.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := cut.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection to what left goes on: %v", err)
	}
	if after := time.Since(left); after < drain {
		t.Errorf("it ended after %s, want %s at least", after, drain)
	}
	if err := kept.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other connection: %v", err)
	}
}

// greeting returns an endpoint that says one byte to whoever connects, and keeps the
// connection until the test ends.
func greeting(t *testing.T, word byte) discovery.Endpoint {
	t.Helper()
	return answeredBy(t, func(c net.Conn) {
		_, _ = c.Write([]byte{word}) // who does not hear it fails the test
		<-t.Context().Done()
	})
}

// greeted connects until the endpoint answers that says word.
func greeted(t *testing.T, port int, word byte) net.Conn {
	t.Helper()
	for range 20 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if got[0] == word {
			t.Cleanup(func() { c.Close() })
			return c
		}
		c.Close()
	}
	t.Fatalf("nobody says %c", word)
	return nil
}
