package dns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

var srv = Query{Record: "_web._tcp.test"}

const srvName = "_web._tcp.test"

// target is one SRV record of weight 1 with these addresses along.
func target(name string, port uint16, addrs ...string) dnstest.Target {
	return dnstest.Target{Name: name, Port: port, Weight: 1, Addrs: dnstest.Addrs(addrs...)}
}

func TestServices(t *testing.T) {
	prioritised := func(priority uint16, t dnstest.Target) dnstest.Target { t.Priority = priority; return t }
	weighted := func(weight uint16, t dnstest.Target) dnstest.Target { t.Weight = weight; return t }
	cases := []struct {
		name    string
		targets []dnstest.Target
		want    []string
		weights []int
		weak    bool
		refused []string
	}{
		{
			name:    "addresses along",
			targets: []dnstest.Target{target("b.test", 81, "10.0.0.2"), target("a.test", 80, "10.0.0.1")},
			want:    []string{"10.0.0.1:80", "10.0.0.2:81"}, weights: []int{1, 1},
		},
		{
			name:    "two instances on one host",
			targets: []dnstest.Target{target("a.test", 80, "10.0.0.1"), target("a.test", 81)},
			want:    []string{"10.0.0.1:80", "10.0.0.1:81"}, weights: []int{1, 1},
		},
		{
			name:    "D25 target .",
			targets: []dnstest.Target{target(".", 0)},
		},
		{
			name:    "target . beside others",
			targets: []dnstest.Target{target(".", 80), target("a.test", 80, "10.0.0.1")},
			want:    []string{"10.0.0.1:80"}, weights: []int{1}, refused: []string{discovery.Incomplete},
		},
		{
			name:    "D26 port 0 and port 65535",
			targets: []dnstest.Target{target("a.test", 0, "10.0.0.1"), target("b.test", 65535, "10.0.0.2")},
			want:    []string{"10.0.0.2:65535"}, weights: []int{1}, refused: []string{discovery.BadPort},
		},
		{
			name: "D27 the lowest priority",
			targets: []dnstest.Target{
				prioritised(20, target("spare.test", 80, "10.0.0.9")), prioritised(10, target("a.test", 80, "10.0.0.1")),
			},
			want: []string{"10.0.0.1:80"}, weights: []int{1},
		},
		{
			name: "D27 the lowest priority that has endpoints",
			targets: []dnstest.Target{
				prioritised(20, target("spare.test", 80, "10.0.0.9")), prioritised(10, target("gone.test", 80)),
			},
			want: []string{"10.0.0.9:80"}, weights: []int{1}, refused: []string{discovery.Unresolved},
		},
		{
			name:    "D28 weights all 0",
			targets: []dnstest.Target{weighted(0, target("a.test", 80, "10.0.0.1")), weighted(0, target("b.test", 80, "10.0.0.2"))},
			want:    []string{"10.0.0.1:80", "10.0.0.2:80"}, weights: []int{0, 0},
		},
		{
			name: "D28 weights 0, 5 and 65535",
			targets: []dnstest.Target{
				weighted(0, target("a.test", 80, "10.0.0.1")), weighted(5, target("b.test", 80, "10.0.0.2")),
				weighted(65535, target("c.test", 80, "10.0.0.3")),
			},
			want: []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}, weights: []int{1, 5, 65535},
		},
		{
			name: "a weight shared by the addresses of a target",
			targets: []dnstest.Target{
				weighted(10, target("a.test", 80, "10.0.0.1", "10.0.0.2", "2001:db8::1")), weighted(2, target("b.test", 80, "10.0.1.1", "10.0.1.2", "10.0.1.3")),
			},
			want:    []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80", "[2001:db8::1]:80"},
			weights: []int{3, 3, 1, 1, 1, 3},
		},
		{
			name:    "only refused addresses",
			targets: []dnstest.Target{target("a.test", 80, "0.0.0.0")},
			weak:    true, refused: []string{discovery.Unspecified},
		},
		{
			name:    "only targets without addresses",
			targets: []dnstest.Target{target("gone.test", 80)},
			weak:    true, refused: []string{discovery.Unresolved},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := dnstest.NewServer(t)
			server.SetSRV(srvName, 0, c.targets...)
			r := next(t, newSource(t, patient(server.Addr()), srv))
			wantAddrs(t, r, c.want...)
			var refused []string
			for _, j := range r.Rejected {
				refused = append(refused, j.Reason)
			}
			if !slices.Equal(weights(r), c.weights) || r.Weak != c.weak || !slices.Equal(refused, c.refused) {
				t.Errorf("weights %v weak %v refused %v, want %v %v %v", weights(r), r.Weak, refused, c.weights, c.weak, c.refused)
			}
		})
	}
}

func TestNamesOfServices(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetSRV(srvName, 0, target(`A\007\.b.test`, 80, "10.0.0.1"))
	r := next(t, newSource(t, patient(server.Addr()), srv))
	want := []discovery.Endpoint{{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1, Name: `a\007\.b.test`}}
	if !slices.Equal(r.Endpoints, want) {
		t.Errorf("got %+v, want %+v", r.Endpoints, want)
	}
}

func TestD27GroupsComeAndGo(t *testing.T) {
	server := dnstest.NewServer(t)
	spare := dnstest.Target{Name: "s.test", Port: 80, Priority: 20, Addrs: dnstest.Addrs("10.0.0.9")}
	main := dnstest.Target{Name: "m.test", Port: 80, Priority: 10, Addrs: dnstest.Addrs("10.0.0.1")}
	s := newSource(t, patient(server.Addr()), srv)
	for range 2 {
		server.SetSRV(srvName, 0, spare, main)
		wantStrong(t, next(t, s), "10.0.0.1:80")
		server.SetSRV(srvName, 0, spare)
		wantStrong(t, next(t, s), "10.0.0.9:80")
	}
}

// Targets whose addresses did not come along.
func TestD23Gaps(t *testing.T) {
	server := dnstest.NewServer(t)
	set := func() {
		server.SetSRV(srvName, 0, target("ok.test", 80), target("gone.test", 80), target("sick.test", 80))
	}
	set()
	server.SetA("ok.test", 0, dnstest.Addrs("10.0.0.1")...)
	server.SetA("gone.test", 0, dnstest.Addrs("10.0.0.2")...)
	server.SetA("sick.test", 0, dnstest.Addrs("10.0.0.3", "2001:db8::3")...)
	s := newSource(t, patient(server.Addr()), srv)
	wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[2001:db8::3]:80")

	server.Remove("gone.test")
	server.Fail("sick.test", wire.RcodeServerFailure)
	for range 2 {
		wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.3:80", "[2001:db8::3]:80")
	}

	t.Run("not known from before", func(t *testing.T) {
		wantWeak(t, next(t, newSource(t, patient(server.Addr()), srv)), "10.0.0.1:80")
	})
	t.Run("known to have none", func(t *testing.T) {
		server.SetSRV(srvName, 0, target("ok.test", 80), target("gone.test", 80))
		fresh := newSource(t, patient(server.Addr()), srv)
		wantStrong(t, next(t, fresh), "10.0.0.1:80")
		server.Fail("gone.test", wire.RcodeServerFailure)
		wantStrong(t, next(t, fresh), "10.0.0.1:80")
	})
	t.Run("nothing known at all", func(t *testing.T) {
		server.SetSRV(srvName, 0, target("sick.test", 80))
		wantError(t, newSource(t, patient(server.Addr()), srv), discovery.Server)
	})
	t.Run("trouble does not bring spares into play", func(t *testing.T) {
		spare := target("spare.test", 80, "10.0.0.9")
		spare.Priority = 7
		server.SetSRV(srvName, 0, target("sick.test", 80), spare)
		wantError(t, newSource(t, patient(server.Addr()), srv), discovery.Server)
	})
}

func TestD24StrayGlue(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetRecords(srvName,
		[]wire.RR{mustRR(srvName + ". 0 IN SRV 1 1 80 a.test.")},
		[]wire.RR{mustRR("a.test. 0 IN A 10.0.0.1"), mustRR("b.test. 0 IN A 6.6.6.6"), mustRR("a.test. 0 CH A 6.6.6.6")})
	wantStrong(t, next(t, newSource(t, patient(server.Addr()), srv)), "10.0.0.1:80")
}

func TestD29TooManyTargets(t *testing.T) {
	server := dnstest.NewServer(t)
	var targets []dnstest.Target
	for i := range maxTargets + 1 {
		targets = append(targets, target(fmt.Sprintf("t%d.test", i), 80))
	}
	server.SetSRV(srvName, 0, targets...)
	s := newSource(t, patient(server.Addr()), srv)
	wantError(t, s, discovery.Protocol)
	if n := server.Queries("udp") + server.Queries("tcp"); n > 4 {
		t.Errorf("%d queries", n)
	}

	addrs := fleet(2000)
	targets = nil
	for i, a := range addrs {
		targets = append(targets, dnstest.Target{Name: fmt.Sprintf("t%d.", i), Port: 80, Addrs: []netip.Addr{a}})
	}
	server.SetSRV(srvName, 0, targets[:1200]...)
	if r := next(t, s); len(r.Endpoints) != 1200 {
		t.Errorf("%d endpoints with their addresses along, want 1200", len(r.Endpoints))
	}
}

func TestRecordWithoutData(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
		b := pack(answer(q))
		b[7] = 1                                               // one answer:
		b = append(b, 0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 0, 0, 0) // the name, SRV, IN, TTL 0, no data
		_, _ = w.Write(b)
		return true
	})
	wantError(t, newSource(t, patient(server.Addr()), srv), discovery.Protocol)
}

// drawRecords draws records and hosts for their targets, some in trouble.
func drawRecords(t *rapid.T) ([]record, map[string]resolved) {
	names := []string{"a.", "b.", "c.", "d."}
	hosts := map[string]resolved{}
	for _, n := range names {
		var h resolved
		switch rapid.IntRange(0, 4).Draw(t, "trouble") {
		case 0:
			h.err = discovery.Errorf(discovery.Server, "SERVFAIL")
		case 1:
		default:
			for range rapid.IntRange(1, 4).Draw(t, "addresses") {
				h.addrs = append(h.addrs, netip.AddrFrom4([4]byte{byte(rapid.SampledFrom([]int{0, 10, 127, 224}).Draw(t, "net")), 0, 0, rapid.Byte().Draw(t, "host")}))
			}
		}
		hosts[n] = h
	}
	records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record {
		return record{
			target:   rapid.SampledFrom(names).Draw(t, "target"),
			port:     rapid.Uint16Range(1, 3).Draw(t, "port"),
			priority: rapid.Uint16Range(0, 2).Draw(t, "priority"),
			weight:   rapid.SampledFrom([]uint16{0, 1, 7, 65535}).Draw(t, "weight"),
		}
	}), 0, 8).Draw(t, "records")
	return records, hosts
}

func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records, hosts := drawRecords(t)
		eps, _, weak, err := place(records, hosts)
		mixed := slices.Clone(records)
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		again, _, weak2, err2 := place(mixed, hosts)
		if !slices.Equal(eps, again) || (weak == nil) != (weak2 == nil) || (err == nil) != (err2 == nil) {
			t.Fatalf("order matters: %v %v", eps, again)
		}
		if err != nil && len(eps) > 0 {
			t.Fatal("an error with endpoints")
		}
		zero, some := false, false
		for _, e := range eps {
			if discovery.Check(e.Addr) != "" {
				t.Fatalf("%v is no endpoint", e)
			}
			zero, some = zero || e.Weight == 0, some || e.Weight > 0
		}
		if zero && some || !sortedByAddr(eps) {
			t.Fatalf("weights or order: %v", eps)
		}
	})
}

func drawEndpoints(t *rapid.T, what string) []discovery.Endpoint {
	var eps []discovery.Endpoint
	for _, b := range rapid.SliceOfN(rapid.ByteRange(1, 9), 0, 9).Draw(t, what) {
		eps = append(eps, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, b}), 80)})
	}
	return discovery.Normalize(eps)
}

func TestVerdictProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second := finding{endpoints: drawEndpoints(t, "first")}, finding{endpoints: drawEndpoints(t, "second")}
		published := drawEndpoints(t, "published")
		v := agreed(first, second)
		for _, e := range published {
			inEither := slices.Contains(first.endpoints, e) || slices.Contains(second.endpoints, e)
			if inEither != slices.Contains(v.endpoints, e) {
				t.Fatalf("%v: in an answer %v, in the verdict %v", e, inEither, !inEither)
			}
		}
		u := unconfirmed(first, published, never(canceled(), "x"))
		if len(lacking(u.endpoints, published)) > 0 || len(lacking(u.endpoints, first.endpoints)) > 0 || u.weak == "" {
			t.Fatalf("unconfirmed lost something: %v", u.endpoints)
		}
		if d := cmp.Diff(v.endpoints, discovery.Normalize(v.endpoints), cmp.Comparer(func(a, b discovery.Endpoint) bool { return a == b })); d != "" {
			t.Fatal(d)
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	many := func(from, n int) (eps []discovery.Endpoint) {
		for i := range n {
			a := netip.AddrFrom4([4]byte{10, byte((from + i) >> 16), byte((from + i) >> 8), byte(from + i)})
			eps = append(eps, discovery.Endpoint{Addr: netip.AddrPortFrom(a, 80)})
		}
		return eps
	}
	half, other := many(0, discovery.MaxEndpoints/2), many(discovery.MaxEndpoints, discovery.MaxEndpoints/2)
	if got := boundedUnion(half, other); len(got) != discovery.MaxEndpoints {
		t.Errorf("%d endpoints where all fit", len(got))
	}
	if got := boundedUnion(half, append(other, many(1<<20, 1)...)); !slices.Equal(got, half) {
		t.Errorf("%d endpoints where not all fit, want the first %d", len(got), len(half))
	}
	if err := capped(many(0, discovery.MaxEndpoints+1)); discovery.ClassOf(err) != discovery.Protocol {
		t.Errorf("too many: %v", err)
	}
}
