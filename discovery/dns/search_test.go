package dns

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

func TestCandidates(t *testing.T) {
	cases := []struct {
		name, record string
		search       []string
		ndots        int
		want         string
	}{
		{"few dots", "web.", []string{"a.test.", "b.test."}, 1, "web.a.test. web.b.test. web."},
		{"enough dots", "web.prod.", []string{"a.test."}, 1, "web.prod. web.prod.a.test."},
		{"as in Kubernetes", "web.default.svc.", []string{"default.svc.cluster.local.", "svc.cluster.local."}, 5,
			"web.default.svc.default.svc.cluster.local. web.default.svc.svc.cluster.local. web.default.svc."},
		{"no dots needed", "web.", []string{"a.test."}, 0, "web. web.a.test."},
		{"the root", "web.", []string{".", "a.test."}, 1, "web. web.a.test."},
		{"too long", "web.", []string{strings.Repeat("a.", 126)}, 1, "web."},
		{"no list", "web.", nil, 1, "web."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := settings{search: c.search, ndots: c.ndots}
			if got := strings.Join(s.candidates(c.record), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A zone says what servers do with names: an address, "" for NODATA, or the name
// of a failure. What is not in it does not exist.
type zone map[string]string

func (z zone) reply(q *wire.Msg) *wire.Msg {
	name := q.Question[0].Name
	m := answer(q)
	what, ok := z[name]
	switch {
	case !ok:
		m.Rcode = wire.RcodeNameError
	case what == "SERVFAIL":
		m.Rcode = wire.RcodeServerFailure
	case what == "silent":
		return nil
	case what != "":
		return answer(q, name+" 5 IN A "+what)
	}
	m.Ns = []wire.RR{mustRR("test. 5 IN SOA ns.test. x.test. 1 1 1 1 5")}
	return m
}

// searching is a source of web, with the search list a.test b.test.
func searching(t *testing.T, zones map[string]zone) (s *Source, asked func() string) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.test b.test\n")
	s = newSource(t, Options{ResolvConf: path, Search: true}, Query{Record: "web", Type: TypeA, Port: 80})
	var names []string
	s.client.exchange = script(func(_, server string, q *wire.Msg) *wire.Msg {
		names = append(names, strings.TrimSuffix(server, ":53")+" "+q.Question[0].Name)
		return zones[server].reply(q)
	}).exchange
	return s, func() string { defer func() { names = nil }(); return strings.Join(names, ", ") }
}

func TestSearch(t *testing.T) {
	a, b := zone{"web.a.test.": "10.0.0.1", "web.b.test.": "10.0.0.2"}, zone{"web.b.test.": "10.0.0.2"}
	cases := []struct {
		name     string
		one, two zone
		want     string // addresses, nothing, or a class
		pinned   string
	}{
		{"the first", a, a, "10.0.0.1:80", "web.a.test."},
		{"the second, as both say", b, b, "10.0.0.2:80", "web.b.test."},
		{"D13 the first, as one says: the other lacks it", b, a, "10.0.0.1:80", "web.a.test."},
		{"an error on the way", zone{"web.a.test.": "SERVFAIL", "web.b.test.": "10.0.0.2"}, zone{"web.a.test.": "SERVFAIL"}, string(discovery.Server), ""},
		{"an error instead of the second opinion", b, zone{"web.a.test.": "SERVFAIL"}, string(discovery.Server), ""},
		{"NODATA ends it", zone{"web.a.test.": "", "web.b.test.": "10.0.0.2"}, zone{"web.a.test.": ""}, isNothing, ""},
		{"the name itself at last", zone{"web.": "10.0.0.3"}, zone{"web.": "10.0.0.3"}, "10.0.0.3:80", "web."},
		{"nowhere", zone{}, zone{}, isNothing, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := searching(t, map[string]zone{one: c.one, two: c.two})
				if got := resultOf(s.Next(t.Context())); got != c.want || s.pinned != c.pinned {
					t.Errorf("got %s of %q, want %s of %q", got, s.pinned, c.want, c.pinned)
				}
			})
		})
	}
}

// The second name is a wildcard: it always answers, and it is somebody else's.
func TestD33PinnedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"web.a.test.": "10.0.0.1", "web.b.test.": "6.6.6.6"}
		s, asked := searching(t, map[string]zone{one: z, two: z})
		wantStrong(t, next(t, s), "10.0.0.1:80")
		if got := s.Activity(); !slices.Contains(got.Remarks, "stays with the name that first had records: web.a.test") {
			t.Errorf("remarks %q", got.Remarks)
		}
		asked()
		z["web.a.test."] = "SERVFAIL"
		wantError(t, s, discovery.Server)
		delete(z, "web.a.test.")
		s.calm()
		wantStrong(t, next(t, s)) // said by those who had it: what that means is the guard's business
		if got := asked(); strings.Contains(got, "web.b.test.") {
			t.Errorf("asked %s", got)
		}
	})
}

func TestD33NothingPinnedInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"web.a.test.": "SERVFAIL", "web.b.test.": "6.6.6.6"}
		s, _ := searching(t, map[string]zone{one: z, two: z})
		for range 3 {
			wantError(t, s, discovery.Server)
		}
		z["web.a.test."] = "10.0.0.1"
		wantStrong(t, next(t, s), "10.0.0.1:80")
	})
}

func TestPinEndsWithTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"web.a.test.": "10.0.0.1", "web.c.test.": "10.0.0.3"}
		s, _ := searching(t, map[string]zone{one: z, two: z})
		wantStrong(t, next(t, s), "10.0.0.1:80")
		writeResolvConf(t, s.client.file.path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch c.test\n")
		time.Sleep(resolvEvery) // the pace varies: two questions may come before the file is looked at
		wantStrong(t, next(t, s), "10.0.0.3:80")
	})
}

func TestAbsoluteNamesAreNotSearched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, asked := searching(t, map[string]zone{one: {}, two: {}})
		s, err := s.client.Source(Query{Record: "web.c.test.", Type: TypeA, Port: 80})
		if err != nil {
			t.Fatal(err)
		}
		next(t, s)
		if got, want := asked(), "192.0.2.1 web.c.test., 192.0.2.2 web.c.test."; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	})
}
