package consul

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// share returns n, or a part of it where the tests do not run whole.
func share(n, part int) int {
	if os.Getenv("SLOTSYNC_LONG") == "1" {
		return n
	}
	return part
}

// registerMany gives each of n services as many instances.
func registerMany(t *testing.T, s *consultest.Server, n, instances int) {
	t.Helper()
	var regs []consultest.Registration
	for i := range n {
		for j := range 4 {
			regs = append(regs, consultest.Registration{
				Service: service(i), ID: service(i) + "-" + string(rune('a'+j)), Addr: "10.0.0.1", Port: 1000 + j, Gone: j >= instances,
			})
		}
	}
	if err := s.Put(t.Context(), regs...); err != nil {
		t.Fatal(err)
	}
}

func watchMany(t *testing.T, c *Client, n int) []*discoverytest.Watched {
	t.Helper()
	watches := make([]*discoverytest.Watched, n)
	for i := range watches {
		watches[i] = discoverytest.Watch(t, source(t, c, Query{Service: service(i)}))
	}
	return watches
}

// await wants all watches to have n instances, without an error, and returns how
// long that took.
func await(t *testing.T, watches []*discoverytest.Watched, n int, most time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		count, err := late(watches, n)
		switch {
		case err != nil:
			t.Fatalf("an error: %v", err)
		case count == 0:
			return time.Since(begun)
		case time.Since(begun) > most:
			t.Fatalf("%d of %d are not current after %s", count, len(watches), most)
		}
		<-tick.C
	}
}

// TestC12RealAgentOverHTTP watches more services than a real agent takes
// connections.
func TestC12RealAgentOverHTTP(t *testing.T) {
	const n = 300
	interval := time.Duration(share(10, 2)) * time.Second
	server := consultest.Start(t)
	registerMany(t, server, n, 3)
	watches := watchMany(t, realClient(t, server, Options{PollInterval: interval}), n)
	cold := await(t, watches, 3, 20*time.Second)
	conns := server.Connections()
	registerMany(t, server, n, 2)
	took := await(t, watches, 2, interval*6/5+3*time.Second)
	conns = max(conns, server.Connections())
	t.Logf("%d watches over HTTP: all known after %s, all current %s after a change, %d connections", n, cold, took, conns)
	if conns > connections+4 { // those that register
		t.Errorf("%d connections", conns)
	}
}

// TestC13RealAgentOverHTTPS starts a thousand watches at once.
func TestC13RealAgentOverHTTPS(t *testing.T) {
	const n = 1000
	authority := consultest.NewAuthority(t)
	server := consultest.Start(t, consultest.HTTPS(authority))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, authority.PEM())
	registerMany(t, server, n, 3)
	before := server.Connections()
	watches := watchMany(t, realClient(t, server, Options{Address: server.HTTPSURL(), TLS: longpoll.TLS{CAFile: ca}}), n)
	cold := await(t, watches, 3, 30*time.Second)
	conns := server.Connections() - before
	registerMany(t, server, n, 2)
	took := await(t, watches, 2, 30*time.Second)
	conns = max(conns, server.Connections()-before)
	t.Logf("%d watches over HTTPS: all known after %s, all current %s after a change of all, %d connections", n, cold, took, conns)
	if conns > 10 {
		t.Errorf("%d connections", conns)
	}
}

// TestC37RealLeaderIsKilled takes the only server away from an agent that hundreds
// of watches ask.
func TestC37RealLeaderIsKilled(t *testing.T) {
	n := share(500, 100)
	authority := consultest.NewAuthority(t)
	server := consultest.Start(t)
	agent := server.Join(t, consultest.HTTPS(authority))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, authority.PEM())
	registerMany(t, server, n, 3)
	watches := watchMany(t, realClient(t, agent, Options{Address: agent.HTTPSURL(), TLS: longpoll.TLS{CAFile: ca}}), n)
	await(t, watches, 3, 20*time.Second)
	server.Kill()
	failing := func(w *discoverytest.Watched) bool {
		updates, _ := w.Seen()
		return updates[len(updates)-1].Err != nil
	}
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); !slices.ContainsFunc(watches, failing); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatal("nobody noticed")
		}
	}
	server.Restart(true)
	registerMany(t, server, n, 4)
	back := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for count := n; count > 0; count, _ = late(watches, 4) {
		if time.Since(back) > 10*time.Second {
			t.Fatalf("%d are not current", count)
		}
		<-tick.C
	}
	t.Logf("%d watches were current %s after the last registration", n, time.Since(back))
	for i, w := range watches {
		counts, classes := sets(w.End())
		if !slices.Equal(counts, []int{3, 4}) || slices.Contains(classes, discovery.Protocol) {
			t.Errorf("watch %d: sets of %v, errors %v", i, counts, classes)
		}
	}
}

// TestC39RealWatchesAreReplaced ends 150 watches and starts as many: a real agent
// goes on with the queries of the former.
func TestC39RealWatchesAreReplaced(t *testing.T) {
	const n = 150
	server := consultest.Start(t)
	registerMany(t, server, n, 3)
	c := realClient(t, server, Options{})
	for range 3 {
		watches := watchMany(t, c, n)
		await(t, watches, 3, 20*time.Second)
		for _, w := range watches {
			if err := firstError(w.End()); err != nil {
				t.Fatalf("an error: %v", err)
			}
		}
	}
}
