package simulation

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

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
	w.conf = s.configuration()
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
		o.Instances[0].Conn = mortalClient{client, w.life, w.disk(w.life)}
	})
}
