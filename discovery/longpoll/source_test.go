package longpoll

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A scriptedReply is answered to a question, and judged as it says.
type scriptedReply struct {
	index       uint64
	n           int // instances
	disposition Disposition
	err         error
}

func (r scriptedReply) Index() uint64  { return r.index }
func (r scriptedReply) Len() int       { return r.n }
func (r scriptedReply) String() string { return fmt.Sprintf("%d instances", r.n) }

// A scriptedService answers one reply after the other, and keeps what it was asked.
type scriptedService struct {
	script []scriptedReply
	asked  []Request
}

func (s *scriptedService) URL(q Request) string { return fmt.Sprint("http://x/", q) }

func (s *scriptedService) Get(_ context.Context, q Request) (scriptedReply, error) {
	s.asked = append(s.asked, q)
	r := s.script[0]
	s.script = s.script[1:]
	return r, r.err
}

func (s *scriptedService) Judge(_ Request, _ int, r scriptedReply) (Disposition, error) {
	return r.disposition, nil
}

func (s *scriptedService) Reading(r scriptedReply) discovery.Reading {
	var eps []discovery.Endpoint
	for i := range r.n {
		eps = append(eps, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80)})
	}
	return discovery.Complete(eps...)
}

func (s *scriptedService) Believe(_ context.Context, _ Request, d Disposition, r scriptedReply, _, reading discovery.Reading) (Disposition, discovery.Reading, error) {
	if r.disposition == ReadPlainly {
		return ReadPlainly, discovery.Reading{}, nil
	}
	return d, reading, nil
}

// TestSource says for each disposition what Next returns, and what is asked next.
func TestSource(t *testing.T) {
	failed := discovery.Errorf(discovery.Server, "no leader")
	first := scriptedReply{index: 50, n: 3}
	tests := []struct {
		name  string
		then  []scriptedReply
		want  int    // endpoints of the second reading
		asked string // after the first plain read, up to the one after the second reading
	}{
		{"apply", []scriptedReply{{index: 51, n: 2}, {index: 52, n: 2}}, 2, "stale 50, stale 51"},
		{"unchanged", []scriptedReply{{index: 50, disposition: Unchanged}, {index: 51, n: 2}}, 3, "stale 50, stale 50"},
		{"apply partly", []scriptedReply{{index: 51, n: 1, disposition: ApplyPartly}, {index: 52, n: 2}}, 1, "stale 50, default 0"},
		{"reseed", []scriptedReply{{index: 49, n: 1, disposition: Reseed}, {index: 60, n: 4}, {index: 61, n: 4}}, 4, "stale 50, default 0, stale 60"},
		{"too old", []scriptedReply{{index: 51, n: 1, disposition: TooOld}, {index: 60, n: 4}, {index: 61, n: 4}}, 4, "stale 50, default 0, default 60"},
		{"doubtful", []scriptedReply{{index: 51, disposition: Doubtful}, {index: 51, n: 3}, {index: 52, n: 3}}, 3, "stale 50, consistent 0, stale 51"},
		{"read plainly", []scriptedReply{{index: 51, n: 1, disposition: ReadPlainly}, {index: 52, n: 2}, {index: 53, n: 2}}, 2, "stale 50, default 0, stale 52"},
		{"error", []scriptedReply{{err: failed}, {index: 51, n: 2}, {index: 52, n: 2}}, 2, "stale 50, stale 50 briefly, stale 51"},
		{"lower index of a plain read", []scriptedReply{{index: 9, n: 1, disposition: Reseed}, {index: 9, n: 1}, {index: 9, n: 4}, {index: 10, n: 4}}, 4,
			"stale 50, default 0, consistent 0, stale 9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewClient(Options{System: "X", Address: "http://x", Queries: 2, Reads: 2, Mode: Stale, Confirm: Consistent})
				if err != nil {
					t.Fatal(err)
				}
				service := &scriptedService{script: append([]scriptedReply{first}, test.then...)}
				s := NewSource(c, service)
				var readings []discovery.Reading
				for len(readings) < 3 {
					if r, err := s.Next(t.Context()); err == nil {
						readings = append(readings, r)
					}
				}
				if got := len(readings[1].Endpoints()); got != test.want {
					t.Errorf("%d endpoints, want %d", got, test.want)
				}
				if got := describe(service.asked[1:]); got != test.asked {
					t.Errorf("asked %s\nwant  %s", got, test.asked)
				}
			})
		})
	}
}

func describe(asked []Request) string {
	out := ""
	for i, q := range asked {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprint(q.Mode, " ", q.Index)
		if q.Blocking() && q.Wait < time.Second {
			out += " briefly"
		}
	}
	return out
}

// TestEpochEndsQueriesOfOthers has one source see that the indexes began anew: what the
// other one waits for is cancelled, and it reads plainly.
func TestEpochEndsQueriesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Options{System: "X", Address: "http://x", Queries: 2, Reads: 2, Mode: Stale, Confirm: Consistent})
		if err != nil {
			t.Fatal(err)
		}
		waiting := &blockingService{}
		other := NewSource(c, waiting)
		if _, err := other.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan discovery.Reading)
		go func() {
			r, _ := other.Next(t.Context())
			done <- r
		}()
		synctest.Wait()
		s := NewSource(c, &scriptedService{script: []scriptedReply{{index: 50, n: 3}, {index: 7, disposition: Reseed}, {index: 7, n: 3}, {index: 7, n: 3}}})
		for range 2 {
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if r := <-done; len(r.Endpoints()) != 1 || !slices.Equal(waiting.modes, []string{Default, Stale, Default}) {
			t.Errorf("got %+v after %q", r, waiting.modes)
		}
	})
}

// A blockingService answers plain reads, and nothing else.
type blockingService struct {
	scriptedService
	modes []string
}

func (s *blockingService) Get(ctx context.Context, q Request) (scriptedReply, error) {
	s.modes = append(s.modes, q.Mode)
	if q.Blocking() {
		<-ctx.Done()
		return scriptedReply{}, ctx.Err()
	}
	return scriptedReply{index: 50, n: 1}, nil
}
