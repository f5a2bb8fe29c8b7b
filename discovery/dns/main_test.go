package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick lets silence be noticed soon, and answers be asked for again soon.
func quick(servers ...string) Options {
	return Options{
		Servers: servers, Timeout: 150 * time.Millisecond,
		MinRefresh: time.Millisecond, MaxRefresh: 2 * time.Millisecond,
	}
}

// patient is for tests that wait for no silence: a busy machine is no server
// that does not answer.
func patient(servers ...string) Options {
	o := quick(servers...)
	o.Timeout = 3 * time.Second
	return o
}

func addrsOf(servers ...*dnstest.Server) []string {
	var out []string
	for _, s := range servers {
		out = append(out, s.Addr())
	}
	return out
}

func newSource(t testing.TB, o Options, q Query) *Source {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Source(q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s *Source) discovery.Reading {
	t.Helper()
	r, err := s.Next(t.Context())
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	return r
}

// wantError asks and wants an error of class c, which by the contract leaves
// what is known as it is.
func wantError(t testing.TB, s *Source, c discovery.Class) {
	t.Helper()
	r, err := s.Next(t.Context())
	e, ok := errors.AsType[*discovery.Error](err)
	if !ok || e.Class != c {
		t.Fatalf("got reading %v and error %v, want an error of class %s", r, err, c)
	}
	if len(r.Parts) > 0 {
		t.Fatalf("the error comes with parts %v", r.Parts)
	}
}

// gaps lists the parts of r that are not whole, but for those that never had records.
func gaps(r discovery.Reading) []string {
	r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), isNoneYet)
	return r.Gaps()
}

func isNoneYet(p discovery.Part) bool {
	return p.State == discovery.Partial && len(p.Endpoints) == 0 && strings.HasPrefix(p.Why, noneYet)
}

// wantStrong compares the addresses of a reading, of which every part that ever had
// records is to be whole.
func wantStrong(t testing.TB, r discovery.Reading, want ...string) {
	t.Helper()
	if g := gaps(r); len(g) > 0 {
		t.Fatalf("not whole: %s", strings.Join(g, "\n"))
	}
	wantAddrs(t, r, want...)
}

// wantWeak compares the addresses of a reading that has a part which is not whole.
func wantWeak(t testing.TB, r discovery.Reading, want ...string) {
	t.Helper()
	if len(gaps(r)) == 0 {
		t.Fatalf("whole: %s %v", r.Note, r.Parts)
	}
	wantAddrs(t, r, want...)
}

// partOf returns the part of that name.
func partOf(t testing.TB, r discovery.Reading, name string) discovery.Part {
	t.Helper()
	for _, p := range r.Parts {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no part %q in %v", name, r.Parts)
	return discovery.Part{}
}

// wantPart compares the state and the addresses of one part, and what its reason
// contains.
func wantPart(t testing.TB, r discovery.Reading, name string, state discovery.Completeness, reason string, want ...string) {
	t.Helper()
	p := partOf(t, r, name)
	if p.State != state || !strings.Contains(p.Reason(), reason) {
		t.Fatalf("%s is %v: %q, want %v: %q", name, p.State, p.Reason(), state, reason)
	}
	wantAddrs(t, discovery.Reading{Parts: []discovery.Part{p}, Note: r.Note}, want...)
}

// wantKept follows a reading and compares what is there and kept.
func wantKept(t testing.TB, k discoverytest.Keeper, r discovery.Reading, want ...string) {
	t.Helper()
	if got := k.Take(r); !slices.Equal(got, want) {
		t.Fatalf("kept %v, want %v: %v", got, want, r.Parts)
	}
}

func wantAddrs(t testing.TB, r discovery.Reading, want ...string) {
	t.Helper()
	if got := strings.Join(texts(r), " "); got != strings.Join(want, " ") {
		t.Fatalf("got %s, want %s (%s)", got, strings.Join(want, " "), r.Note)
	}
}

func texts(r discovery.Reading) []string {
	var out []string
	for _, e := range r.Endpoints() {
		out = append(out, e.Addr.String())
	}
	return out
}

func weights(r discovery.Reading) []int {
	var out []int
	for _, e := range r.Endpoints() {
		out = append(out, e.Weight)
	}
	return out
}

// fleet returns n addresses from 10.1.0.0 on.
func fleet(n int) []netip.Addr {
	var out []netip.Addr
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{10, 1, byte(i / 256), byte(i)}))
	}
	return out
}

func mustRR(s string) wire.RR {
	rr, err := wire.NewRR(s)
	if err != nil {
		panic(err)
	}
	return rr
}

// answer is a reply to q with these records.
func answer(q *wire.Msg, records ...string) *wire.Msg {
	m := new(wire.Msg)
	m.SetReply(q)
	for _, s := range records {
		m.Answer = append(m.Answer, mustRR(s))
	}
	return m
}

func pack(m *wire.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// never is a reply to nothing: it waits until its time is over.
func never(ctx context.Context, server string) error {
	<-ctx.Done()
	return transportError(server, ctx.Err())
}

func sortedByAddr(eps []discovery.Endpoint) bool {
	return slices.IsSortedFunc(eps, func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) })
}

var bothFamilies = [...]uint16{wire.TypeA, wire.TypeAAAA}

// calm has what follows be not about recovery.
func (s *Source) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing, s.settled = false, time.Time{}
	for _, st := range s.sets {
		st.trouble, st.settled = false, time.Time{}
	}
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
