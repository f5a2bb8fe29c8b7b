package dns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

func TestNeeded(t *testing.T) {
	cases := []struct {
		size, known int
		interval    time.Duration
		want        int
	}{
		{8, 16, 5 * time.Second, 20},
		{8, 20, 5 * time.Second, 28},
		{8, 60, 5 * time.Second, 97},
		{8, 8, 5 * time.Second, 2},
		{0, 8, 5 * time.Second, 2},
		{8, 4000, 5 * time.Second, 720}, // an hour
		{8, 20, 10 * time.Minute, 6},
		{8, 20, 2 * time.Hour, 2},
	}
	for _, c := range cases {
		if got := needed(c.size, c.known, c.interval); got != c.want {
			t.Errorf("%d of %d every %v: %d answers, want %d", c.size, c.known, c.interval, got, c.want)
		}
	}
}

// sets makes items of letters.
func sets(letters string) []item {
	var out []item
	for _, l := range []byte(letters) {
		out = append(out, item{addr: netip.AddrFrom4([4]byte{10, 0, 0, l})})
	}
	return normalized(out)
}

// TestDetection is about which answers in a row, a TTL apart, are parts.
func TestDetection(t *testing.T) {
	cases := []struct {
		name, answers string
		want          bool
	}{
		{"random parts", "abcd bdef acef", true},
		{"parts that never meet", "abcd efgh ijkl", true},
		{"two answers are too few", "abcd efgh", false},
		{"always the same", "abcd abcd abcd abcd", false},
		{"growing", "ab abc abcd abcde", false},
		{"shrinking", "abcd abc ab a", false},
		{"one replaced after the other", "abcd ebcd efcd efgd efgh", false},
		{"blue and green", "abcd efgh efgh", false},
		{"blue, green, and blue again", "abcd efgh efgh abcd abcd", false},
		{"one instance that restarts elsewhere", "a b c d", false},
		{"one of three in turn", "a b c a", true},
		{"D21 one lacks the newest, one the oldest", "abc bcd abc", true},
		{"D21 one lacks one", "abcd abc abcd abc", false},
		{"the size changes in between", "abcd bdef abc acef", false},
		{"nothing in between", "abcd  bdef", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := partialSet{mode: Auto, hold: time.Minute}
			now := time.Now()
			for letters := range strings.SplitSeq(c.answers, " ") {
				p.add(sample{items: sets(letters), server: one, ttl: 5 * time.Second, interval: 5 * time.Second}, nil, now)
				now = now.Add(5 * time.Second)
			}
			if p.on != c.want {
				t.Errorf("parts: %v, want %v", p.on, c.want)
			}
		})
	}
}

func TestRepetitionsDoNotCount(t *testing.T) {
	p := partialSet{mode: Partial, hold: time.Minute}
	begin := time.Now()
	hear := func(at time.Duration, ttl time.Duration, server string) int {
		p.add(sample{items: sets("abc"), server: server, ttl: ttl}, nil, begin.Add(at))
		return p.count
	}
	steps := []struct {
		name   string
		at     time.Duration
		ttl    time.Duration
		server string
		want   int
	}{
		{"the first", 0, 30 * time.Second, one, 1},
		{"out of a cache", 10 * time.Second, 20 * time.Second, one, 1},
		{"out of a cache, at its end", 29500 * time.Millisecond, time.Second, one, 1},
		{"a TTL later", 31 * time.Second, 30 * time.Second, one, 2},
		{"of another server", 31 * time.Second, 30 * time.Second, two, 3},
		{"its TTL rounded to 0", 60500 * time.Millisecond, 0, two, 3},
		{"without a TTL", 70 * time.Second, 0, two, 4},
		{"and again", 70 * time.Second, 0, two, 5},
	}
	for _, s := range steps {
		if got := hear(s.at, s.ttl, s.server); got != s.want {
			t.Errorf("%s: %d answers, want %d", s.name, got, s.want)
		}
	}
}

// A pool is a service of which each answer has some at random: another choice
// each time, or one that a cache keeps for the TTL.
type pool struct {
	random  *rand.Rand
	members []netip.Addr
	size    int
	ttl     time.Duration
	cached  bool
	choice  map[string][]netip.Addr // by server
	until   map[string]time.Time
}

func newPool(n, size int, cached bool) *pool {
	return &pool{
		random: rand.New(rand.NewPCG(1, uint64(n))), members: fleet(n), size: size, ttl: 5 * time.Second, cached: cached,
		choice: map[string][]netip.Addr{}, until: map[string]time.Time{},
	}
}

func (p *pool) reply(_, server string, q *wire.Msg) *wire.Msg {
	if !p.cached || !time.Now().Before(p.until[server]) {
		p.choice[server] = nil
		for _, i := range p.random.Perm(len(p.members))[:min(p.size, len(p.members))] {
			p.choice[server] = append(p.choice[server], p.members[i])
		}
		p.until[server] = time.Now().Add(p.ttl)
	}
	m := answer(q)
	left := int(time.Until(p.until[server]).Round(time.Second).Seconds())
	if !p.cached {
		left = 0
	}
	for _, a := range p.choice[server] {
		m.Answer = append(m.Answer, mustRR(fmt.Sprintf("x.test. %d IN A %s", left, a)))
	}
	if len(m.Answer) == 0 {
		m.Rcode = wire.RcodeNameError
	}
	return m
}

func addrsIn(r discovery.Reading) []netip.Addr {
	var out []netip.Addr
	for _, e := range r.Endpoints() {
		out = append(out, e.Addr.Addr())
	}
	return out
}

// 8 of 20 at random each time: nobody is missing while alive, and who has gone
// is missing after hold_obsolete.
func TestD20PartialAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		cached  bool
		servers []string
	}{
		"one server":          {false, []string{one}},
		"one that caches":     {true, []string{one}},
		"two servers":         {false, []string{one, two}},
		"two that both cache": {true, []string{one, two}},
	} {
		t.Run("D20 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testParts(t, newPool(20, 8, c.cached), c.servers) })
		})
	}
}

func testParts(t *testing.T, p *pool, servers []string) {
	s := scripted(t, p.reply, servers...)
	seen := map[string]bool{}
	begin := time.Now()
	var r discovery.Reading
	kept := discoverytest.Keeper{}
	for time.Since(begin) < 10*time.Minute {
		r = next(t, s)
		have := kept.Take(r)
		for a := range seen {
			if !slices.Contains(have, a) {
				t.Fatalf("%v is alive, and missing after %v: %s", a, time.Since(begin), r.Note)
			}
		}
		for _, a := range have {
			seen[a] = true
		}
	}
	wantStrong(t, r, texts(r)...)
	if len(r.Endpoints()) != 20 || !strings.Contains(r.Note, "partial answers, 20 known") {
		t.Fatalf("%d endpoints: %s", len(r.Endpoints()), r.Note)
	}
	remarks := strings.Join(s.Activity().Remarks, "\n")
	if !strings.Contains(remarks, "partial answers: 8 of 20 known; one goes when unseen for 2m20s") {
		t.Errorf("remarks %q", remarks)
	}
	confirmed, err := s.Confirm(t.Context())
	if err != nil || len(gaps(confirmed)) > 0 || len(confirmed.Endpoints()) != 20 {
		t.Errorf("confirmed %d endpoints, weak %v, %v", len(confirmed.Endpoints()), gaps(confirmed), err)
	}
	gone := p.members[3]
	p.members = slices.Delete(slices.Clone(p.members), 3, 4)
	left := time.Now()
	for slices.Contains(addrsIn(r), gone) {
		r = next(t, s)
		if len(r.Endpoints()) < 19 || len(gaps(r)) > 0 {
			t.Fatalf("%d endpoints: %s", len(r.Endpoints()), r.Note)
		}
	}
	if d := time.Since(left); d < time.Minute || d > 6*time.Minute {
		t.Errorf("gone after %v", d)
	}
	p.members = nil
	for len(r.Endpoints()) > 0 {
		r = next(t, s)
	}
	if len(gaps(r)) > 0 || !strings.Contains(r.Note, "NXDOMAIN") {
		t.Errorf("none at last: %s", r.Note)
	}
}

func TestAnswersOption(t *testing.T) {
	run := func(t *testing.T, o Options, name string) (least int, note string) {
		p := newPool(20, 8, false)
		s := newSource(t, o, Query{Record: name, Type: TypeA, Port: 80})
		s.client.exchange = script(func(network, server string, q *wire.Msg) *wire.Msg {
			m := p.reply(network, server, q)
			for _, rr := range m.Answer {
				rr.Header().Name = q.Question[0].Name
			}
			return m
		}).exchange
		least = 20
		for i := range 50 {
			if r := next(t, s); i > 30 {
				least, note = min(least, len(r.Endpoints())), r.Note
			}
		}
		return least, note
	}
	synctest.Test(t, func(t *testing.T) {
		if n, note := run(t, Options{Servers: []string{one}, Answers: Full}, "x.test"); n == 20 || strings.Contains(note, "partial") {
			t.Errorf("full: %d endpoints: %s", n, note)
		}
		if n, note := run(t, Options{Servers: []string{one}, Answers: Partial}, "x.test"); n != 20 || !strings.Contains(note, "partial answers") {
			t.Errorf("partial: %d endpoints: %s", n, note)
		}
		if n, note := run(t, Options{Servers: []string{one}, TCP: Never}, "x.service.consul"); n != 20 || !strings.Contains(note, "partial answers") {
			t.Errorf("Consul over UDP alone: %d endpoints: %s", n, note)
		}
	})
}

// Time without answers is no time in which an endpoint was not seen.
func TestPartsAreKeptOverTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, silent := newPool(20, 8, false), false
		s := scripted(t, func(network, server string, q *wire.Msg) *wire.Msg {
			if silent {
				return nil
			}
			return p.reply(network, server, q)
		}, one)
		for range 50 {
			next(t, s)
		}
		silent = true
		for range 1000 {
			wantError(t, s, discovery.Transport)
		}
		silent = false
		if r := next(t, s); len(r.Endpoints()) != 20 || len(gaps(r)) > 0 {
			t.Errorf("%d endpoints: %s", len(r.Endpoints()), r.Note)
		}
	})
}

// All records are replaced at once. What is new is there at once; what is old is
// gone with the answer that proves it, and with that at the latest which comes a
// TTL after: what the agent makes of it is the guard's business.
func TestD35AllReplaced(t *testing.T) {
	for name, servers := range map[string][]string{"one server": {one}, "two servers": {one, two}} {
		t.Run("D35 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := []string{"x.test. 10 IN A 10.0.0.1", "x.test. 10 IN A 10.0.0.2", "x.test. 10 IN A 10.0.0.3"}
				s := scripted(t, answering(&records, one, two), servers...)
				for range 3 {
					wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
				}
				records = []string{"x.test. 10 IN A 10.0.1.1", "x.test. 10 IN A 10.0.1.2", "x.test. 10 IN A 10.0.1.3"}
				r := next(t, s)
				if !strings.Contains(strings.Join(texts(r), " "), "10.0.1.1:80 10.0.1.2:80 10.0.1.3:80") {
					t.Errorf("the new ones are not there: %v", texts(r))
				}
				replaced := time.Now()
				for len(gaps(r)) > 0 {
					r = next(t, s)
				}
				wantAddrs(t, r, "10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80")
				if d := time.Since(replaced); d > 11*time.Second || len(servers) == 2 && d > 0 {
					t.Errorf("the old ones were gone after %v", d)
				}
			})
		})
	}
}

// What answers with ever new members can make one remember is bounded.
func TestPartsAreBounded(t *testing.T) {
	p := partialSet{mode: Partial, hold: time.Minute}
	now := time.Now()
	for i := range 40 {
		items := make([]item, 0, 1000)
		for j := range 1000 {
			n := 1000*i + j
			items = append(items, item{addr: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})})
		}
		p.add(sample{items: normalized(items), server: one, interval: time.Second}, nil, now)
	}
	if n := len(p.known); n != discovery.MaxEndpoints+1 {
		t.Errorf("%d are known", n)
	}
	if err := capped(len(p.assembled(now))); discovery.ClassOf(err) != discovery.Protocol {
		t.Errorf("got %v", err)
	}
	for i := range 3 * streakParts {
		p.add(sample{items: sets(string(rune('a' + i%20))), server: one}, nil, now)
	}
	if n := len(p.seen); n > streakParts {
		t.Errorf("%d members of a streak", n)
	}
}
