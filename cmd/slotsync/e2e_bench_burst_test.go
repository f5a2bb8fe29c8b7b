package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	burstOurs, burstRaw = "burst-ours", "burst-raw"
	// burstLine is how much HAProxy takes on one line.
	burstLine = 15_000
)

// A told source says what it is told, once each.
type toldSource struct {
	next chan []discovery.Endpoint
	said chan time.Time // when a set was handed on
}

// Next implements [discovery.Source].
func (s *toldSource) Next(ctx context.Context) (discovery.Reading, error) {
	select {
	case <-ctx.Done():
		return discovery.Reading{}, ctx.Err()
	case eps := <-s.next:
		s.said <- time.Now()
		return discovery.Complete(eps...), nil
	}
}

// Confirm implements [discovery.Source].
func (s *toldSource) Confirm(ctx context.Context) (discovery.Reading, error) {
	return discovery.Reading{}, discovery.Errorf(discovery.Server, "it was not told")
}

// String implements [discovery.Source].
func (s *toldSource) String() string { return "what it is told" }

// A watchedConn tells what was read, and when.
type watchedConn struct {
	slots.Conn
	shown chan shownView
}

// A shownView is a read-back: how many servers are ready, and how many of the
// others are known to have no sessions.
type shownView struct {
	at          time.Time
	ready, idle int
}

// Apply implements [slots.Conn].
func (c watchedConn) Apply(ctx context.Context, seen slots.Process, changes []slots.Change) (slots.Outcome, error) {
	out, err := c.Conn.Apply(ctx, seen, changes)
	c.tell(out.View)
	return out, err
}

// View implements [slots.Conn].
func (c watchedConn) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	v, err := c.Conn.View(ctx, backends, sessions)
	c.tell(v)
	return v, err
}

func (c watchedConn) tell(v slots.View) {
	s := shownView{at: time.Now()}
	for _, server := range v.Servers[burstOurs] {
		switch {
		case server.Class == slots.Ready:
			s.ready++
		case server.Sessions == 0:
			s.idle++
		}
	}
	c.shown <- s
}

// until returns when an instance was seen to be as it should.
func (r *benchRig) until(shown <-chan shownView, what string, good func(shownView) bool) time.Time {
	r.tb.Helper()
	timeout := time.After(benchPatience)
	for {
		select {
		case s := <-shown:
			if good(s) {
				return s.at
			}
		case <-timeout:
			r.tb.Fatalf("not within %s: %s", benchPatience, what)
		}
	}
}

// bursts fills two backends in turns, one as slotsync does and one by hand.
func (r *benchRig) bursts(row *benchRow, rounds int) {
	r.tb.Helper()
	source := &toldSource{next: make(chan []discovery.Endpoint), said: make(chan time.Time, 1)}
	a, views := r.watchedAgent(source)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := a.Run(ctx); err != nil {
			r.tb.Error(err)
		}
	})
	defer group.Wait()
	defer cancel()
	for range rounds {
		for who := range r.inOrder() {
			switch who {
			case slotsyncRuns:
				row.add(who, r.burst(source, views))
			case safeRuns:
				row.add(who, r.rawBurst())
			}
		}
	}
}

func (r *benchRig) watchedAgent(source discovery.Source) (*agent.Agent, [2]chan shownView) {
	r.tb.Helper()
	backend := benchBackend(burstOurs, source)
	backend.Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
	var views [2]chan shownView
	a := r.agentWith(func(i int, c slots.Conn) slots.Conn {
		views[i] = make(chan shownView, 4096)
		return watchedConn{c, views[i]}
	}, backend)
	return a, views
}

// burst has the source name many endpoints at once and returns how long it took
// until both instances have read back the last one. Then it empties them.
func (r *benchRig) burst(source *toldSource, views [2]chan shownView) time.Duration {
	r.tb.Helper()
	var eps []discovery.Endpoint
	for _, host := range r.hosts(benchMany) {
		eps = append(eps, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr(host), uint16(r.port))})
	}
	source.next <- eps
	start := <-source.said
	var end time.Time
	for _, v := range views {
		at := r.until(v, "all endpoints are ready", func(s shownView) bool { return s.ready == benchMany })
		if at.After(end) {
			end = at
		}
	}
	source.next <- nil
	<-source.said
	for _, v := range views {
		r.until(v, "all slots are idle", func(s shownView) bool { return s.idle == benchMany })
	}
	return end.Sub(start)
}

// rawBurst takes the safe steps with as few lines as may be, for both sockets at
// the same time.
func (r *benchRig) rawBurst() time.Duration {
	r.tb.Helper()
	hosts := r.hosts(benchMany)
	start := time.Now()
	var group sync.WaitGroup
	for _, p := range r.proxies {
		group.Go(func() {
			if err := fillRaw(p.Socket, hosts, r.port); err != nil {
				r.tb.Error(err)
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	for _, p := range r.proxies {
		if err := tellLines(p.Socket, rawLines(hosts, always("state maint"))); err != nil {
			r.tb.Error(err)
		}
	}
	return took
}

func fillRaw(socket string, hosts []string, port int) error {
	if err := tellLines(socket, rawLines(hosts, func(host string) string { return fmt.Sprintf("addr %s port %d", host, port) })); err != nil {
		return err
	}
	if err := readBack(socket, func(fields []string, host string) bool { return fields[4] == host }, hosts); err != nil {
		return err
	}
	if err := tellLines(socket, rawLines(hosts, always("state ready"))); err != nil {
		return err
	}
	// srv_admin_state: only "disabled in the configuration" may be left
	return readBack(socket, func(fields []string, _ string) bool { return fields[6] == "0" || fields[6] == "4" }, hosts)
}

func always(what string) func(string) string { return func(string) string { return what } }

// rawLines joins commands to lines, one for each slot.
func rawLines(hosts []string, what func(host string) string) []string {
	var lines []string
	var line strings.Builder
	for i, host := range hosts {
		command := fmt.Sprintf("set server %s/web%d %s", burstRaw, i+1, what(host))
		if line.Len()+len(command) > burstLine {
			lines = append(lines, line.String())
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteByte(';')
		}
		line.WriteString(command)
	}
	return append(lines, line.String())
}

func tellLines(socket string, lines []string) error {
	for _, line := range lines {
		if _, err := tell(socket, line); err != nil {
			return err
		}
	}
	return nil
}

// readBack reads until every server is good.
func readBack(socket string, good func(fields []string, host string) bool, hosts []string) error {
	deadline := time.Now().Add(benchPatience)
	for time.Now().Before(deadline) {
		shown, err := tell(socket, "show servers state "+burstRaw)
		if err != nil {
			return err
		}
		if allGood(shown, good, hosts) {
			return nil
		}
	}
	return fmt.Errorf("not within %s: what was set reads back", benchPatience)
}

func allGood(shown string, good func(fields []string, host string) bool, hosts []string) bool {
	lines := strings.Split(shown, "\n")
	if len(lines) < 2+len(hosts) {
		return false
	}
	for i, host := range hosts {
		if fields := strings.Fields(lines[2+i]); len(fields) < 20 || !good(fields, host) {
			return false
		}
	}
	return true
}
