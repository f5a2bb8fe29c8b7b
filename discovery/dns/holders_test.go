package dns

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// Every server is asked for every name now and then, of those that have it the less.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one, two, three)
		fourTargets(w, one, two)
		w.fail(three, "", "silent")
		s := w.source(t, Query{Record: srv.Record, Family: discovery.OnlyV4}, one, two, three)
		begin := time.Now()
		for time.Since(begin) < 2*time.Minute {
			next(t, s)
		}
		k := key{"t4.test.", wire.TypeA}
		if got := s.holders.of(k, []string{one, two, three}); len(got) != 2 {
			t.Errorf("%v have it", got)
		}
		if n := w.count("udp " + three); n > 1 {
			t.Errorf("a silent one was asked %d times", n)
		}
		w.fail(three, "", "NXDOMAIN")
		begin = time.Now()
		for time.Since(begin) < time.Hour {
			next(t, s)
		}
		n := w.count("udp "+three) / 5 // the service and its targets
		if n < 9 || n > 16 {
			t.Errorf("who does not have them was asked %d times in an hour", n)
		}
	})
}

// What is remembered over a restart.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(one, two)
		fourTargets(w, one)
		s := w.source(t, srv, one, two)
		if got := s.Memory(); got != nil {
			t.Errorf("before anything: %s", got)
		}
		next(t, s)
		text := s.Memory()
		next(t, s)
		if got := s.Memory(); !bytes.Equal(got, text) {
			t.Errorf("nothing changed, and %s became %s", text, got)
		}
		fresh := restarted(t, w, s, srv)
		if got := fresh.Memory(); !bytes.Equal(got, text) {
			t.Errorf("remembered %s of %s", got, text)
		}
		w.put("SRV _web._tcp.test", nil, one)
		wantStrong(t, next(t, fresh)) // none, from who had it
		w.put("SRV _web._tcp.test", []string{"1 1 80 t1.test."}, one)
		next(t, s)
		if got := string(s.Memory()); strings.Contains(got, "t4.test") {
			t.Errorf("a target that is not named any more: %s", got)
		}
	})
}

func TestMemoryOfTheSearchList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"web.a.test.": "10.0.0.1", "web.b.test.": "6.6.6.6"}
		s, _ := searching(t, map[string]zone{one: z, two: z})
		wantStrong(t, next(t, s), "10.0.0.1:80")
		delete(z, "web.a.test.")
		fresh, asked := searching(t, map[string]zone{one: z, two: z})
		discovery.Remind(fresh, discovery.MemoryOf(s))
		wantStrong(t, next(t, fresh))
		if got := asked(); strings.Contains(got, "web.b.test.") {
			t.Errorf("asked %s", got)
		}
	})
}

// That answers are parts of a larger set is known after a restart: the first one is not
// taken for all there is.
func TestMemoryOfPartialAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(20, 8, false)
		s := scripted(t, p.reply, one)
		for range 60 {
			next(t, s)
		}
		wantStrong(t, next(t, s), texts(next(t, s))...)
		fresh := scripted(t, p.reply, one)
		discovery.Remind(fresh, discovery.MemoryOf(s))
		k := discoverytest.Keeper{}
		begin, all := time.Now(), next(t, s)
		k.Take(all)
		for {
			r := next(t, fresh)
			if got := k.Take(r); len(got) != 20 {
				t.Fatalf("%d are left after %v", len(got), time.Since(begin))
			}
			if len(gaps(r)) == 0 {
				break
			}
		}
		if d := time.Since(begin); d < time.Minute || d > 5*time.Minute {
			t.Errorf("whole after %v", d)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	s := newSource(t, Options{Servers: []string{one}}, srv)
	for i := range 2 * maxHeld {
		s.holders.add(key{fmt.Sprintf("%s%d.test.", strings.Repeat("a", 50), i), wire.TypeA}, one)
	}
	s.holders.add(key{srvName + ".", wire.TypeSRV}, one)
	for i := range 2 * maxServers {
		s.holders.add(key{"a.test.", wire.TypeA}, fmt.Sprintf("192.0.2.%d:53", i))
	}
	if n := len(s.holders.by); n > maxHeld {
		t.Errorf("%d sets", n)
	}
	if text := discovery.MemoryOf(s); len(text) == 0 || !bytes.Equal(text, s.Memory()) {
		t.Errorf("%d bytes", len(text))
	}
	s.holders.by = map[key][]string{}
	for i := range 2 * maxHeld {
		s.holders.add(key{fmt.Sprintf("%d.test.", i), wire.TypeA}, one)
	}
	delete(s.holders.by, key{"0.test.", wire.TypeA})
	s.holders.add(key{srvName + ".", wire.TypeSRV}, one)
	if text := discovery.MemoryOf(s); !bytes.Contains(text, []byte(`"SRV `+srvName)) {
		t.Errorf("the service itself is not remembered: %.200s", text)
	}
}

// FuzzRemember gives whatever bytes for what was remembered.
func FuzzRemember(f *testing.F) {
	f.Add([]byte(`{"servers":["192.0.2.1:53"],"had":{"A x.test.":[0],"SRV _x._tcp.test.":[0,7,-1]},"pinned":"x.test.","partial":["A x.test."]}`))
	f.Add([]byte(`{"servers":["x"],"had":{"TXT x.test.":[0],"A ":[0],"A X.test.":[0]},"partial":["", "A"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newSource(t, Options{Servers: []string{one}}, srv)
		discovery.Remind(s, text)
		again := discovery.MemoryOf(s)
		fresh := newSource(t, Options{Servers: []string{one}}, srv)
		discovery.Remind(fresh, again)
		if got := discovery.MemoryOf(fresh); !bytes.Equal(got, again) {
			t.Fatalf("%s became %s", again, got)
		}
	})
}
