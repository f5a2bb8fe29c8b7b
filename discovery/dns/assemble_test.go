package dns

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
)

// drawRecords draws SRV records and what is known of their targets, some in trouble.
func drawRecords(t *rapid.T) ([]record, map[key]result) {
	names := []string{"a.", "b.", "c.", "d."}
	known := map[key]result{}
	for _, n := range names {
		for _, qtype := range bothFamilies {
			var r result
			switch rapid.IntRange(0, 5).Draw(t, "trouble") {
			case 0:
				r = unknown(verdict{err: discovery.Errorf(discovery.Server, "SERVFAIL")})
			case 1:
				r = result{state: discovery.Partial, why: noneYet + "NXDOMAIN"}
			case 2:
				r = result{state: discovery.Partial, why: "not settled"}
			default:
				for range rapid.IntRange(0, 4).Draw(t, "addresses") {
					a := netip.AddrFrom4([4]byte{byte(rapid.SampledFrom([]int{0, 10, 127, 224}).Draw(t, "net")), 0, 0, rapid.Byte().Draw(t, "host")})
					if qtype == wire.TypeAAAA {
						a = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: rapid.Byte().Draw(t, "host")})
					}
					r.items = normalized(append(r.items, item{addr: a}))
				}
			}
			known[key{n, qtype}] = r
		}
	}
	records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record {
		return record{
			target:   rapid.SampledFrom(names).Draw(t, "target"),
			port:     rapid.Uint16Range(1, 3).Draw(t, "port"),
			priority: rapid.Uint16Range(0, 2).Draw(t, "priority"),
			weight:   rapid.SampledFrom([]uint16{0, 1, 7, 65535}).Draw(t, "weight"),
		}
	}), 0, 8).Draw(t, "records")
	return records, known
}

// TestPlaceProperties is about what becomes of SRV records.
func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		records, known := drawRecords(rt)
		s := newSource(t, Options{Servers: []string{one}}, srv)
		s.priority = rapid.Uint16Range(0, 2).Draw(rt, "in use")
		place := func(records []record) assembly {
			root := key{srvName + ".", wire.TypeSRV}
			results := map[key]result{root: {verdict: verdict{items: itemsOf(reply{records: records})}}}
			for k, r := range known {
				results[k] = r
			}
			l := s.begin()
			targets, err := l.targets(results[root], s.sets)
			if err != nil {
				rt.Fatal(err)
			}
			a := s.assemble(round{roots: l.questions(s.subject.name, s.subject.name), targets: targets},
				func(q question) result { return results[q.set] })
			a.reading = a.reading.Normalized()
			return a
		}
		a := place(records)
		mixed := slices.Clone(records)
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if again := place(mixed); !again.reading.Equal(a.reading) || !reflect.DeepEqual(again.reading.Gaps(), a.reading.Gaps()) {
			rt.Fatalf("order matters: %v %v", a.reading, again.reading)
		}
		zero, some := false, false
		for _, p := range a.reading.Parts {
			if p.State == discovery.Unknown && len(p.Endpoints) > 0 || !sortedByAddr(p.Endpoints) {
				rt.Fatalf("part %+v", p)
			}
			for _, e := range p.Endpoints {
				if discovery.Check(e.Addr) != "" {
					rt.Fatalf("%v is no endpoint", e)
				}
				zero, some = zero || e.Weight == 0, some || e.Weight > 0
			}
		}
		if zero && some {
			rt.Fatalf("weights: %v", a.reading.Endpoints())
		}
	})
}

// TestVerdictProperties is about what two answers come to.
func TestVerdictProperties(t *testing.T) {
	draw := func(t *rapid.T, what string) (items []item) {
		for _, b := range rapid.SliceOfN(rapid.ByteRange(1, 9), 0, 9).Draw(t, what) {
			items = append(items, item{addr: netip.AddrFrom4([4]byte{10, 0, 0, b})})
		}
		return normalized(items)
	}
	rapid.Check(t, func(t *rapid.T) {
		first, second := draw(t, "first"), draw(t, "second")
		both := merged(verdict{items: first}, verdict{items: second}).items
		for _, i := range draw(t, "known") {
			inEither := slices.Contains(first, i) || slices.Contains(second, i)
			if inEither != slices.Contains(both, i) {
				t.Fatalf("%v: in an answer %v, in the verdict %v", i, inEither, !inEither)
			}
		}
		var st set
		st.update(result{verdict: verdict{items: first}}, 0)
		st.update(keepMissing(verdict{items: second}, noSecondAnswer), 0)
		if len(missingFrom(st.last, first))+len(missingFrom(st.last, second)) > 0 {
			t.Fatalf("missing without a second answer, and forgotten: %v", st.last)
		}
		st.update(unknown(verdict{err: never(canceled(), "x")}), 0)
		if len(missingFrom(st.last, first)) > 0 {
			t.Fatalf("unknown, and forgotten: %v", st.last)
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	many := func(from, n int) (items []item) {
		for i := range n {
			items = append(items, item{addr: netip.AddrFrom4([4]byte{10, byte((from + i) >> 16), byte((from + i) >> 8), byte(from + i)})})
		}
		return items
	}
	half, other := many(0, discovery.MaxEndpoints/2), many(discovery.MaxEndpoints, discovery.MaxEndpoints/2)
	if got := boundedUnion(half, other); len(got) != discovery.MaxEndpoints {
		t.Errorf("%d items where all fit", len(got))
	}
	if got := boundedUnion(half, append(other, many(1<<20, 1)...)); !slices.Equal(got, half) {
		t.Errorf("%d items where not all fit, want the first %d", len(got), len(half))
	}
	if err := capped(discovery.MaxEndpoints + 1); discovery.ClassOf(err) != discovery.Protocol {
		t.Errorf("too many: %v", err)
	}
}
