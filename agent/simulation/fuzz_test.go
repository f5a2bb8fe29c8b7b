package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A liar stands between an agent and a made-up HAProxy. To each line that the agent sends
// it gives the answer, or as a tape says something else, until the tape or its time is over.
type liar struct {
	t    *testing.T
	fake *haproxytest.Fake

	mu   sync.Mutex // guards following
	tape []byte
	// lied are the connections that are out of step for good.
	lied map[*lyingConn]bool
	off  bool // nothing but the truth
	// edits are what is said of servers in the next answers, so many.
	edits  []byte
	repeat int
	edited bool // there were any
}

// A mood is what is done to one answer.
type mood int

const (
	truth   mood = iota
	cut          // it ends early
	flipped      // some of its bytes are others
	forged       // it is another one
	padded       // something comes before it
	silent       // there is none until the deadline
	closed       // the connection ends
	edited       // it says other things of servers, and so do those after it
	moods
)

// next takes n bytes from the tape; fewer when it ends.
func (l *liar) next(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return nil
	}
	n = min(n, len(l.tape))
	out := l.tape[:n]
	l.tape = l.tape[n:]
	return out
}

func (l *liar) number() int {
	if b := l.next(1); len(b) > 0 {
		return int(b[0])
	}
	return 0
}

// mood is the one for the next answer.
func (l *liar) mood() mood {
	l.mu.Lock()
	repeats := !l.off && l.repeat > 0
	l.mu.Unlock()
	if repeats {
		return edited
	}
	return mood(l.number() % int(moods))
}

// again returns the edits for the next answer.
func (l *liar) again() []byte {
	l.mu.Lock()
	repeats := l.repeat > 0
	if repeats {
		l.repeat--
	}
	l.mu.Unlock()
	if !repeats {
		n := l.number()
		edits := l.next(3 * (1 + l.number()%6))
		l.mu.Lock()
		l.edits, l.repeat, l.edited = edits, n%16, true
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.edits
}

// over reports whether it has told the last lie.
func (l *liar) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tape) == 0 && l.repeat == 0
}

// lie has it lie as the tape says; honest ends that, and every connection on which it did.
func (l *liar) lie(tape []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tape, l.off = tape, false
}

func (l *liar) honest() {
	l.mu.Lock()
	lied := l.lied
	l.lied, l.off = map[*lyingConn]bool{}, true
	l.mu.Unlock()
	for c := range lied {
		c.Close()
	}
}

func (l *liar) dial(ctx context.Context) (net.Conn, error) {
	c, err := l.fake.Dial(ctx)
	if err != nil {
		return nil, err
	}
	out := &lyingConn{Conn: c, of: l}
	out.quiet, out.end = net.Pipe()
	return out, nil
}

// A lyingConn is the agent's end of a connection.
type lyingConn struct {
	net.Conn
	of         *liar
	quiet, end net.Conn // nothing comes from there

	// following is of the one who reads and writes in turn
	mood  mood
	left  int    // of the answer, until it is cut; or until a byte is changed
	other []byte // that come instead, or before, or that are changed
}

// Write hands a line on, and makes up its mind about the answer.
func (c *lyingConn) Write(p []byte) (int, error) {
	checkCommands(c.of.t, string(p))
	c.mood = c.of.mood()
	switch c.mood {
	case edited:
		c.other = c.of.again()
	case cut:
		c.left = c.of.number() * (1 + c.of.number()/64)
	case flipped:
		c.left, c.other = c.of.number()*(1+c.of.number()/32), c.of.next(1+c.of.number()%16)
	case forged, padded:
		c.other = c.of.next(c.of.number())
	}
	if c.mood != truth {
		c.of.mu.Lock()
		c.of.lied[c] = true
		c.of.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *lyingConn) Read(p []byte) (int, error) {
	switch c.mood {
	case silent:
		return c.quiet.Read(p)
	case closed:
		return 0, io.EOF
	case forged, padded:
		if len(c.other) > 0 {
			n := copy(p, c.other)
			c.other = c.other[n:]
			return n, nil
		}
		if c.mood == forged {
			return 0, io.EOF
		}
	case cut:
		if c.left == 0 {
			return 0, io.EOF
		}
		n, err := c.Conn.Read(p[:min(len(p), c.left)])
		c.left -= n
		return n, err
	case edited:
		n, err := c.Conn.Read(p[:max(len(p)-200, 1)])
		return copy(p, edit(string(p[:n]), c.other)), err
	case flipped:
		n, err := c.Conn.Read(p)
		for at := n - 1 - c.left; at >= 0 && len(c.other) > 0; at -= 1 + c.left {
			p[at] = other(p[at], c.other[0])
			c.other = c.other[1:]
		}
		return n, err
	}
	return c.Conn.Read(p)
}

// edit has an answer to "show servers state" say other things of some of the servers. Three
// bytes of by name one: which, what of it, and how it is said to be.
func edit(answer string, by []byte) string {
	lines := strings.Split(answer, "\n")
	var rows []int
	for i, l := range lines {
		if f := strings.Fields(l); len(f) > 18 && f[1] == backendName(0) {
			rows = append(rows, i)
		}
	}
	for ; len(by) >= 3 && len(rows) > 0; by = by[3:] {
		row := rows[int(by[0])%len(rows)]
		f := strings.Fields(lines[row])
		n := int(by[2])
		switch by[1] % 6 {
		case 0:
			f[3] = fmt.Sprint("srv", n%14)
		case 1:
			f[4] = []string{fmt.Sprint("127.1.1.", n), fmt.Sprint("10.9.9.", n), "-", "0.0.0.0", "fe80::1"}[n%5]
		case 2:
			f[5] = strconv.Itoa(n % 4)
		case 3:
			f[6] = strconv.Itoa(n % 128)
		case 4:
			f[7] = strconv.Itoa(n)
		case 5:
			f[18] = strconv.Itoa(8000 + n%6)
		}
		lines[row] = strings.Join(f, " ")
	}
	return strings.Join(lines, "\n")
}

// other is another byte in place of one; mostly a digit for a digit, so that the answer is one.
func other(is, by byte) byte {
	if is >= '0' && is <= '9' && by < 0xc0 {
		return '0' + by%10
	}
	return is ^ by
}

func (c *lyingConn) Close() error {
	c.quiet.Close()
	c.end.Close()
	return c.Conn.Close()
}

func (c *lyingConn) SetDeadline(t time.Time) error {
	if err := c.quiet.SetDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetDeadline(t)
}

func (c *lyingConn) SetReadDeadline(t time.Time) error {
	if err := c.quiet.SetReadDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetReadDeadline(t)
}

// What an agent may send: that reads, and that changes a server of the backend web.
var (
	reads  = regexp.MustCompile(`^(prompt|show [a-z]+( [a-zA-Z0-9_.:/-]+)*)?$`)
	writes = regexp.MustCompile(`^((set|enable|disable|shutdown sessions|wait|add|del)( [0-9.]+s? srv-removable)? (server|health|agent) web/[a-zA-Z0-9_.:-]+)( [a-zA-Z0-9_.:-]+%?)*$`)
	addrs  = regexp.MustCompile(` addr (\S+)`)
)

// checkCommands looks at every command of what an agent sent.
func checkCommands(t *testing.T, line string) {
	for c := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), ";") {
		if !reads.MatchString(c) && !writes.MatchString(c) {
			t.Errorf("the agent sent %q", c)
		}
		if m := addrs.FindStringSubmatch(c); m != nil {
			if ip, err := netip.ParseAddr(m[1]); err != nil || !ip.Is4() {
				t.Errorf("the agent sent the address %q", c)
			}
		}
	}
}

// plausible is a tape of which most moods are edits, with some faults between them.
func plausible(seed uint64) (tape []byte) {
	r := rand.New(rand.NewPCG(seed, 3))
	add := func(below ...int) {
		for _, n := range below {
			tape = append(tape, byte(r.IntN(n)))
		}
	}
	for range 5 + r.IntN(20) {
		switch r.IntN(4) {
		case 0:
			add(int(edited), 256, 256)
		default:
			edits := r.IntN(6)
			tape = append(tape, byte(edited), byte(r.IntN(16)), byte(edits))
			for range edits + 1 {
				add(4, 6, 256)
			}
		}
	}
	return tape
}

// FuzzInstance gives an agent that serves two HAProxys whatever bytes as the answers of one
// of them, while endpoints come and go. The other one has to be served as if nothing were
// wrong, and the first one has to be as well once it tells the truth.
func FuzzInstance(f *testing.F) {
	f.Add(byte(0), []byte{0, 1, 40, 1, 5, 6, 0, 1, 200, 200})
	f.Add(byte(1), []byte{3, 60, 'a'})
	f.Add(byte(2), append([]byte{3, 90}, "\n# Name: HAProxy\nPid: 4711\nUptime_sec: 0\nNode: test\n\n> 1\n# be_id be_name srv_id srv_name\n2 web 1 srv1\n\n> "...))
	f.Add(byte(3), []byte{2, 70, 3, 0x12, 0, 1, 0, 2, 90, 2, 4, 4, 4, 0, 2, 200, 4, 9, 9, 9, 0, 0, 2, 30, 8, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Add(byte(4+8), []byte{4, 5, '\n', '\n', '>', ' ', '\n', 0, 0, 4, 2, '\n', '\n'})
	f.Add(byte(2), []byte{7, 15, 1, 0, 3, 1, 1, 3, 32, 7, 15, 0, 2, 5, 3})
	f.Add(byte(7+16), []byte{5, 5, 5, 6, 6, 6, 1, 3, 1, 1, 4, 0})
	for seed := range uint64(12) {
		f.Add(byte(11*seed), plausible(seed))
	}
	f.Fuzz(func(t *testing.T, kind byte, tape []byte) {
		if len(tape) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) { lieTo(t, kind, tape) })
	})
}

// lieTo runs an agent with a liar. kind says what it is set to.
func lieTo(t *testing.T, kind byte, tape []byte) {
	var log io.Writer
	if os.Getenv("SLOTSYNC_SEED") != "" {
		log = t.Output()
	}
	bit := func(n int) bool { return kind>>n&1 == 1 }
	s := setting{
		Versions: []string{[]string{"2.6", "3.0", "3.2", "3.4"}[kind%4], "3.2"}, Slots: 12, Static: bit(2), Poll: 4 * time.Second, Timeout: 2 * time.Second,
		Backends: []backendSetting{{Feeds: []feedSetting{{Parts: 1, Full: 3}}, Prefix: bit(3), Leave: bit(4), Dynamic: bit(5), Repair: bit(6), MaxRemoval: .5, Window: time.Minute}},
	}
	w := &world{t: t, plan: plan{setting: s}, log: log, judged: oracle.New(), seen: newCoverage()}
	w.conf = configuration{backends: s.Backends, absent: map[int]bool{}, feeds: map[[2]int]bool{}, instances: map[int]bool{}}
	for i := range s.Versions {
		w.proxies = append(w.proxies, newProxy(w, i, s))
		w.proxies[i].tell()
	}
	v := newService(w, 0, 0, s.Backends[0].Feeds[0])
	w.services = [][]*service{{v}}
	lied, healthy := w.proxies[0], w.proxies[1]
	// what an agent does that is lied to is its own affair
	lied.fake.OnExecuted(func(e haproxytest.Executed) {
		w.oracleDo(func(o *oracle.Oracle) {
			w.logf("%s< %s", lied.name, e.Command)
			lied.commands++
			o.Executed(e.At, oracle.Command{Instance: lied.name, Backend: e.Backend, Text: e.Command, Before: server(e.Before), After: server(e.After), Other: true})
		})
	})
	l := &liar{t: t, fake: lied.fake, lied: map[*lyingConn]bool{}, off: true}
	w.startLying(l)
	defer func() {
		end := time.Now()
		w.cancel()
		<-w.ended
		if took := time.Since(end); took > 20*time.Second {
			t.Errorf("the agent took %s to end", took)
		}
		w.life.kill()
		for _, p := range w.proxies {
			for _, line := range p.fake.Transcript() {
				checkCommands(t, line)
			}
			p.fake.Close()
		}
	}()

	w.pass(10 * time.Second)
	w.oracleDo(func(o *oracle.Oracle) { o.Faulty(time.Now(), lied.name) })
	l.lie(tape)
	p := v.parts[0]
	for n := 0; n < 8 && (n < 2 || !l.over()); n++ {
		v.change(func() {
			a := p.pool[3-n%2] // others stay throughout
			if _, there := p.there[a]; there {
				delete(p.there, a)
			} else {
				p.there[a] = discovery.Ready
			}
		})
		w.pass(time.Duration(1+n) * time.Second)
	}
	if bit(7) {
		w.judge(w.life, func(o *oracle.Oracle) { reportAll(t, o) })
		return // it ends while it is lied to
	}
	l.honest()
	w.oracleDo(func(o *oracle.Oracle) { o.Well(time.Now(), lied.name) })
	w.pass(45 * time.Second)
	if l.edited { // what looks as if somebody else did it is left so until an operator gives it back
		w.settleAll()
		w.pass(75 * time.Second)
	}
	before := lied.commands + healthy.commands
	w.pass(20 * time.Second)
	status := w.status()
	w.oracleDo(func(o *oracle.Oracle) {
		o.Calmed(time.Now(), status)
		o.Quiet(time.Now(), "either", lied.commands+healthy.commands-before)
		reportAll(t, o)
	})
}

func reportAll(t *testing.T, o *oracle.Oracle) {
	if broken := o.Violations(); len(broken) > 0 {
		t.Error(list(broken))
	}
}

// startLying starts the agent of a world, with a liar in front of the first HAProxy.
func (w *world) startLying(l *liar) {
	w.startWith(func(o *agent.Options) {
		client, err := haproxy.New(haproxy.Options{Socket: "/run/a.sock", Timeout: o.Timeout, Dial: l.dial})
		if err != nil {
			w.t.Fatal(err)
		}
		o.Instances[0].Conn = mortalClient{client, w.life}
	})
}
