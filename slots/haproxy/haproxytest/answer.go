package haproxytest

import (
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Answer listens in a network, "tcp" on a free port of 127.0.0.1 or "unix" in a folder of
// its own, and has serve answer each connection, side by side; when serve returns the
// connection is closed. With the test all of it ends: what is still open is closed.
func Answer(tb testing.TB, network string, serve func(net.Conn)) net.Addr {
	tb.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(tempDir(tb), "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		tb.Fatal(err)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		open = map[net.Conn]bool{}
		over bool
	)
	enter := func(c net.Conn) bool {
		mu.Lock()
		defer mu.Unlock()
		open[c] = true
		return !over
	}
	leave := func(c net.Conn) {
		c.Close()
		mu.Lock()
		defer mu.Unlock()
		delete(open, c)
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer leave(c)
				if enter(c) {
					serve(c)
				}
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		mu.Lock()
		over = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr()
}
