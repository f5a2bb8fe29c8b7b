package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestLeader runs the configurations of docs/guides/leader.md under load: a replica joins,
// the leader changes, the old one goes, and no connection reaches a replica.
func TestLeader(t *testing.T) {
	page, err := os.ReadFile("../../docs/guides/leader.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, b := range regexp.MustCompile("(?s)<!-- ([a-z]+: [a-z]+) -->\n```[a-z]*\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks[b[1]] = b[2]
	}
	for _, kind := range []struct{ name, proxy, service string }{{"patroni", "pg-leader", "pg"}, {"redis", "redis-leader", "redis"}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, blocks, kind.name, kind.proxy, kind.service)
			c.load()
			c.join("replica")
			c.roles(1, 2, 3, 4)
			c.fail(1)
			c.promote(2)
			c.roles(2, 3, 4) // 1 serves again, as a replica
			c.consul.Deregister("member-1")
			eventually(t, 30*time.Second, func() string {
				if state := c.states()[c.members[0].data]; state != "" {
					return "member-1 is still in a slot"
				}
				return ""
			})
			c.served(2)
		})
	}
}

// A cluster has members of which one is the leader, behind one HAProxy.
type cluster struct {
	t              *testing.T
	proxy, service string
	dataPort       int
	rolePort       int
	consul         *consultest.Server
	edge           *haproxytest.Process
	frontend       string
	members        []*peer

	mu     sync.Mutex
	wrong  []string    // what reached somebody who does not lead
	counts map[int]int // connections that the leader served, by its number
}

// A peer answers each connection with one line, as the leader, or not at all.
type peer struct {
	number     int
	data, role string
	mu         sync.Mutex
	state      string // leader, replica, stopped
}

func (m *peer) is() string { m.mu.Lock(); defer m.mu.Unlock(); return m.state }

func (m *peer) become(state string) { m.mu.Lock(); defer m.mu.Unlock(); m.state = state }

func newCluster(t *testing.T, blocks map[string]string, name, proxy, service string) *cluster {
	c := &cluster{t: t, proxy: proxy, service: service, consul: consultest.Start(t), counts: map[int]int{}}
	c.dataPort, c.rolePort = haproxytest.FreePort(t), haproxytest.FreePort(t)
	c.frontend = fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))
	for _, state := range []string{"leader", "replica", "replica"} {
		c.join(state)
	}
	text := strings.ReplaceAll(blocks["haproxy: "+name], "port 8008", fmt.Sprintf("port %d", c.rolePort))
	c.edge = haproxytest.Start(t, haproxytest.Config{Version: "3.0", Text: "global\n\tstats socket {socket} level admin\n" +
		"defaults\n\tmode tcp\n\ttimeout connect 1s\n\ttimeout client 30s\n\ttimeout server 30s\n" +
		"frontend in\n\tbind " + c.frontend + "\n\tdefault_backend " + proxy + "\n" + text})
	(&move{t: t, blocks: blocks, consul: c.consul, edge: c.edge}).slotsync("slotsync: " + name)
	c.roles(1, 2, 3)
	return c
}

// join starts one more member and registers it.
func (c *cluster) join(state string) {
	c.t.Helper()
	m := &peer{number: len(c.members) + 1, state: state}
	host := fmt.Sprintf("127.0.9.%d", m.number)
	m.data, m.role = fmt.Sprintf("%s:%d", host, c.dataPort), fmt.Sprintf("%s:%d", host, c.rolePort)
	l, err := net.Listen("tcp", m.data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.answer(m, conn)
		}
	}()
	roles, err := net.Listen("tcp", m.role)
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: browserPatience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/primary" || m.is() != "leader" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	c.t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(roles) }()
	c.members = append(c.members, m)
	c.consul.Register(c.service, fmt.Sprintf("member-%d", m.number), host, c.dataPort)
}

// answer speaks the little of Redis that checks ask for; WHO is what clients ask.
func (c *cluster) answer(m *peer, conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	began := m.is()
	for lines.Scan() {
		state := m.is()
		switch text := strings.TrimSpace(lines.Text()); {
		case state == "stopped" || state != began || text == "QUIT": // one that stops ends its connections
			return
		case text == "info replication":
			_, _ = fmt.Fprintf(conn, "role:%s\r\n", map[string]string{"leader": "master", "replica": "slave"}[state])
		case text == "WHO":
			c.mu.Lock()
			if state == "leader" {
				c.counts[m.number]++
			} else {
				c.wrong = append(c.wrong, fmt.Sprintf("member-%d, a %s", m.number, state))
			}
			c.mu.Unlock()
			_, _ = fmt.Fprintf(conn, "%d\r\n", m.number)
		}
	}
}

// load has clients connect and ask, one connection each time, until the test ends.
func (c *cluster) load() {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				c.ask()
			}
		})
	}
	c.t.Cleanup(func() {
		cancel()
		clients.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.t.Logf("connections by leader: %v", c.counts)
		if len(c.wrong) > 0 {
			c.t.Errorf("%d connections did not reach the leader, the first %s", len(c.wrong), c.wrong[0])
		}
	})
	c.served(1)
}

// ask connects once. Nothing is said of failures: while there is no leader there is no answer.
func (c *cluster) ask() {
	conn, err := net.DialTimeout("tcp", c.frontend, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprint(conn, "WHO\r\n")
	_, _ = bufio.NewReader(conn).ReadString('\n')
}

// served waits until the leader has served 50 more connections.
func (c *cluster) served(number int) {
	c.t.Helper()
	count := func() int { c.mu.Lock(); defer c.mu.Unlock(); return c.counts[number] }
	before := count()
	eventually(c.t, 30*time.Second, func() string {
		if n := count() - before; n < 50 {
			return fmt.Sprintf("member-%d has served %d more connections", number, n)
		}
		return ""
	})
}

// states returns HAProxy's verdict on each address in a slot: UP or DOWN.
func (c *cluster) states() map[string]string {
	states := map[string]string{}
	for line := range strings.Lines(haproxytest.Ask(c.t, c.edge.Socket, "show servers state "+c.proxy)) {
		if f := strings.Fields(line); len(f) > 18 && (f[6] == "0" || f[6] == "4") { // not in maintenance
			states[f[4]+":"+f[18]] = map[string]string{"0": "DOWN", "2": "UP"}[f[5]]
		}
	}
	return states
}

// roles waits until the first of these members is UP, and the others are DOWN.
func (c *cluster) roles(leader int, replicas ...int) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, func() string {
		states := c.states()
		for _, n := range append(replicas, leader) {
			want := "DOWN"
			if n == leader {
				want = "UP"
			}
			if got := states[c.members[n-1].data]; got != want {
				return fmt.Sprintf("member-%d is %q, want %s", n, got, want)
			}
		}
		return ""
	})
}

// fail stops the leader, as what demotes one does first.
func (c *cluster) fail(number int) {
	c.t.Helper()
	c.members[number-1].become("stopped")
	eventually(c.t, 30*time.Second, func() string {
		if got := c.states()[c.members[number-1].data]; got != "DOWN" {
			return fmt.Sprintf("member-%d is %s", number, got)
		}
		return ""
	})
	c.members[number-1].become("replica")
}

// promote makes a replica the leader, and waits until it serves.
func (c *cluster) promote(number int) {
	c.t.Helper()
	c.members[number-1].become("leader")
	c.served(number)
}
