package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// stateRow is a line of "show servers state": name, address, administrative
// state, weight and port.
var stateRow = regexp.MustCompile(`(?m)^\d+ web \d+ (\S+) (\S+) \d+ (\d+) (\d+) (?:\S+ ){10}(\d+) `)

// slotsOf returns what of each slot the agent sets.
func slotsOf(answer string) []string {
	var out []string
	for _, m := range stateRow.FindAllStringSubmatch(answer, -1) {
		out = append(out, strings.Join(m[1:], " "))
	}
	return out
}

// A tap hears what an agent says to one HAProxy, and finds what it should not
// have said.
type tap struct {
	list *turnover

	mu      sync.Mutex
	workers map[int]*witnessed
	account account
}

// An account is what a tap has heard.
type account struct {
	writes  int // commands that change a slot
	refused int // of them, by old workers
	both    int // taken by an old worker that was not told to end when a new one answered already
	faults  []string
}

// witnessed is what was said to one worker.
type witnessed struct {
	written, shown map[string]string // addresses by slot, as they were last
	superseded     time.Time         // when a new one answered; zero: none did
	ended          time.Time         // when it was known to have been told to end
}

func newTap(list *turnover) *tap { return &tap{list: list, workers: map[int]*witnessed{}} }

// Account returns what was heard so far.
func (p *tap) Account() account {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.account
}

// note adds a fault.
func (p *tap) note(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.account.faults = append(p.account.faults, fault)
}

// worker needs the lock.
func (p *tap) worker(pid int) *witnessed {
	if p.workers[pid] == nil {
		p.workers[pid] = &witnessed{written: map[string]string{}, shown: map[string]string{}}
	}
	return p.workers[pid]
}

func (p *tap) answers(old int) { p.mark(old, func(w *witnessed) { w.superseded = time.Now() }) }
func (p *tap) ends(old int)    { p.mark(old, func(w *witnessed) { w.ended = time.Now() }) }

func (p *tap) mark(old int, do func(*witnessed)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do(p.worker(old))
}

var (
	saysPid   = regexp.MustCompile(`(?m)^Pid: (\d+)$`)
	setsAddr  = regexp.MustCompile(`set server web/(\S+) addr (\S+) port (\d+)`)
	setsReady = regexp.MustCompile(`set server web/(\S+) state ready`)
)

// hear judges one connection, which leads to one worker.
func (p *tap) hear(said []haproxytest.Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid := 0
	for _, e := range said {
		if m := saysPid.FindStringSubmatch(e.Answered); m != nil {
			pid, _ = strconv.Atoi(m[1])
		}
	}
	for _, e := range said {
		p.count(pid, e)
		p.follow(p.worker(pid), e)
	}
}

// count notes which worker took what.
func (p *tap) count(pid int, e haproxytest.Exchange) {
	w := p.worker(pid)
	n, refused := strings.Count(e.Asked, "set server "), strings.Count(e.Answered, "Proxy is disabled.")
	p.account.writes += n
	p.account.refused += refused
	switch after := func(t time.Time) bool { return !t.IsZero() && e.Sent.After(t) }; {
	case n == refused:
	case pid == 0:
		p.fault("of whom nobody knows who it is", e)
	case after(w.ended):
		p.fault("that was told to end", e)
	case after(w.superseded):
		p.account.both += n - refused
	}
}

func (p *tap) fault(worker string, e haproxytest.Exchange) {
	p.account.faults = append(p.account.faults, fmt.Sprintf("to a worker %s: %.300q: %.300q", worker, e.Asked, e.Answered))
}

// follow finds slots that are made ready where their address was not seen. In
// each line what writes comes before what reads.
func (p *tap) follow(w *witnessed, e haproxytest.Exchange) {
	for _, m := range setsAddr.FindAllStringSubmatch(e.Asked, -1) {
		w.written[m[1]] = m[2] + ":" + m[3]
		delete(w.shown, m[1])
	}
	for _, m := range setsReady.FindAllStringSubmatch(e.Asked, -1) {
		shown, written := w.shown[m[1]], w.written[m[1]]
		if shown == "" || written != "" && written != shown || p.list.Unlisted([]string{shown}) != "" {
			p.fault(fmt.Sprintf("in which %s was to be at %q and was seen at %q", m[1], written, shown), e)
		}
	}
	for _, m := range stateRow.FindAllStringSubmatch(e.Answered, -1) {
		w.shown[m[1]] = m[2] + ":" + m[5]
	}
}

// TestTheTapHearsFaults proves that the checks above can fail.
func TestTheTapHearsFaults(t *testing.T) {
	const row = "2 web 1 web1 127.0.0.9 2 4 100 100 7 1 0 0 8 0 0 0 slot.invalid 1000 - 0 0 - - 0\n"
	look := haproxytest.Exchange{Asked: "prompt;show info;show servers state web\n", Answered: "Name: HAProxy\nPid: 7\n\n" + row}
	exchange := func(asked, answered string) haproxytest.Exchange {
		return haproxytest.Exchange{Sent: time.Now(), Asked: asked, Answered: answered}
	}
	ready := exchange("set server web/web1 state ready\n", "\n\n")
	for _, test := range []struct {
		name string
		ends bool // the worker was told to
		said []haproxytest.Exchange
		want string
	}{
		{"fine", false, []haproxytest.Exchange{look, ready}, ""},
		{"address not seen", false, []haproxytest.Exchange{{Answered: "Pid: 7\n"}, ready}, `seen at ""`},
		{"another address", false, []haproxytest.Exchange{look, exchange("set server web/web1 addr 127.0.0.9 port 1001\n", "\n"), look, ready}, `at "127.0.0.9:1001" and was seen at "127.0.0.9:1000"`},
		{"nobody's address", false, []haproxytest.Exchange{{Answered: "Pid: 7\n\n" + strings.Replace(row, "127.0.0.9", "127.0.0.1", 1)}, ready}, `seen at "127.0.0.1:1000"`},
		{"an old worker takes it", true, []haproxytest.Exchange{look, ready}, "told to end"},
		{"an old worker refuses it", true, []haproxytest.Exchange{look, exchange("set server web/web1 state ready\n", "Proxy is disabled.\n\n")}, ""},
		{"no worker", false, []haproxytest.Exchange{ready}, "nobody knows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newTap(newTurnover(12))
			if test.ends {
				p.ends(7)
			}
			for i := range test.said {
				test.said[i].Sent = time.Now()
			}
			p.hear(test.said)
			got := strings.Join(p.Account().faults, "\n")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}
