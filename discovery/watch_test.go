package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func endpoint(n int) discovery.Endpoint {
	return discovery.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)}
}

func reading(ns ...int) discovery.Reading {
	return discovery.Complete(endpoints(ns...)...)
}

// parts returns one part an endpoint: a, b and so on.
func parts(ns ...int) (out []discovery.Part) {
	for i, n := range ns {
		out = append(out, discovery.Part{Name: string(rune('a' + i)), Endpoints: endpoints(n)})
	}
	return out
}

func endpoints(ns ...int) (out []discovery.Endpoint) {
	for _, n := range ns {
		out = append(out, endpoint(n))
	}
	return out
}

// script is a source that answers as its function does, which is told how often
// it was asked before.
type script func(ctx context.Context, n int) (discovery.Reading, error)

type scripted struct {
	answer script
	asked  []time.Time
}

func (s *scripted) Next(ctx context.Context) (discovery.Reading, error) {
	s.asked = append(s.asked, time.Now())
	return s.answer(ctx, len(s.asked)-1)
}

func (s *scripted) Confirm(ctx context.Context) (discovery.Reading, error) { return s.answer(ctx, 0) }
func (s *scripted) String() string                                         { return "script" }

// watch runs Watch for d of virtual time.
func watch(t *testing.T, d time.Duration, answer script) (updates []discovery.Update, asked []time.Duration) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	src := &scripted{answer: answer}
	discovery.Watch(ctx, src, func(u discovery.Update) { updates = append(updates, u) })
	if late := time.Since(start) - d; late > 0 {
		t.Errorf("Watch returned %s after ctx was done", late)
	}
	for _, at := range src.asked {
		asked = append(asked, at.Sub(start))
	}
	return updates, asked
}

func TestWatchPublishesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		updates, _ := watch(t, 10*time.Second, func(ctx context.Context, n int) (discovery.Reading, error) {
			if n == 3 {
				<-ctx.Done()
				return discovery.Reading{}, ctx.Err()
			}
			return reading(3, n+4, 1), nil
		})
		var got [][]discovery.Endpoint
		for _, u := range updates {
			if u.Err != nil || u.At.IsZero() {
				t.Errorf("update %+v", u)
			}
			got = append(got, u.Reading.Parts[0].Endpoints)
		}
		want := [][]discovery.Endpoint{endpoints(1, 3, 4), endpoints(1, 3, 5), endpoints(1, 3, 6)}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Error(d)
		}
	})
}

func TestWatchPace(t *testing.T) {
	rejected := func(names ...string) discovery.Reading {
		r := reading(1)
		for _, name := range names {
			r.Rejected = append(r.Rejected, discovery.Rejection{Reason: discovery.BadPort, Name: name})
		}
		return r
	}
	tests := []struct {
		name     string
		answer   script
		min, max int // calls within 60 s
	}{
		{"equal answers cost", func(context.Context, int) (discovery.Reading, error) { return reading(1), nil }, 60, 67},
		{"C47 so do shuffled ones", func(_ context.Context, n int) (discovery.Reading, error) {
			return reading(1+n%2, 2-n%2), nil
		}, 60, 67},
		{"and shuffled rejections", func(_ context.Context, n int) (discovery.Reading, error) {
			names := []string{"a", "b"}
			return rejected(names[n%2], names[1-n%2]), nil
		}, 60, 67},
		{"a note is no news", func(_ context.Context, n int) (discovery.Reading, error) {
			r := reading(1)
			r.Note = fmt.Sprint(n)
			return r, nil
		}, 60, 67},
		{"changes are free, but not without end", func(_ context.Context, n int) (discovery.Reading, error) {
			return reading(n%100 + 1), nil
		}, 50 + 59*20, 50 + 61*20},
		{"trust is news", func(_ context.Context, n int) (discovery.Reading, error) {
			r := reading(1)
			r.Parts[0].State = discovery.Completeness(n % 2)
			return r, nil
		}, 50 + 59*20, 50 + 61*20},
		{"a part that comes or goes is news", func(_ context.Context, n int) (discovery.Reading, error) {
			return discovery.Reading{Parts: parts(1, 2, 3)[:2+n%2]}, nil
		}, 50 + 59*20, 50 + 61*20},
		{"and what moves from one to another", func(_ context.Context, n int) (discovery.Reading, error) {
			return discovery.Reading{Parts: parts(1+n%2, 2-n%2)}, nil
		}, 50 + 59*20, 50 + 61*20},
		{"and one that fails while another is answered", func(_ context.Context, n int) (discovery.Reading, error) {
			r := discovery.Reading{Parts: parts(1, 2)}
			if n%2 == 0 {
				r.Parts[1] = discovery.Part{Name: "b", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "no")}
			}
			return r, nil
		}, 50 + 59*20, 50 + 61*20},
		{"shuffled parts are not", func(_ context.Context, n int) (discovery.Reading, error) {
			p := parts(1, 2)
			return discovery.Reading{Parts: []discovery.Part{p[n%2], p[1-n%2]}}, nil
		}, 60, 67},
		{"nor is another reason", func(_ context.Context, n int) (discovery.Reading, error) {
			return discovery.Reading{Parts: []discovery.Part{
				{Name: "a", Endpoints: endpoints(1), State: discovery.Partial, Why: fmt.Sprint("index ", n)},
				{Name: "b", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "server %d", n)},
			}}, nil
		}, 60, 67},
		{"a slow source is asked again at once", func(ctx context.Context, _ int) (discovery.Reading, error) {
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
			return reading(1), nil
		}, 30, 31},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, asked := watch(t, time.Minute, test.answer)
				if n := len(asked); n < test.min || n > test.max {
					t.Errorf("%d calls within a minute, want %d to %d", n, test.min, test.max)
				}
				for i := 2; i < len(asked) && test.max <= 120; i++ { // the first answer is news
					if gap := asked[i] - asked[i-1]; gap < 100*time.Millisecond {
						t.Errorf("calls %s apart", gap)
					}
				}
			})
		})
	}
}

func TestWatchBacksOff(t *testing.T) {
	for _, class := range discovery.Classes {
		t.Run(string(class), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const window = 12 * time.Hour
				updates, asked := watch(t, window, func(context.Context, int) (discovery.Reading, error) {
					return reading(1), discovery.Errorf(class, "no")
				})
				first, most := class.Backoff()
				for i := 1; i < len(asked); i++ {
					limit := min(first<<min(i-1, 10), most)
					if gap := asked[i] - asked[i-1]; gap < 50*time.Millisecond || gap > limit {
						t.Errorf("pause %d is %s, want 50ms to %s", i, gap, limit)
					}
				}
				// Full jitter means half of the longest pause on average.
				if n, mean := len(asked), int(window/(most/2)); n < mean*7/10 || n > mean*14/10 {
					t.Errorf("asked %d times within %s, want about %d", n, window, mean)
				}
				if i := slices.IndexFunc(updates, func(u discovery.Update) bool {
					return discovery.ClassOf(u.Err) != class || u.Reading.Parts != nil
				}); i >= 0 {
					t.Errorf("update %d: %+v", i, updates[i])
				}
			})
		})
	}
}

func TestWatchForgetsErrorsAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, asked := watch(t, time.Hour, func(_ context.Context, n int) (discovery.Reading, error) {
			if n%10 == 9 {
				return reading(n), nil
			}
			return discovery.Reading{}, discovery.Errorf(discovery.Transport, "no")
		})
		for i := 10; i+1 < len(asked); i += 10 {
			if gap := asked[i+1] - asked[i]; gap > time.Second {
				t.Errorf("the first pause after a success is %s", gap)
			}
		}
	})
}

func TestWatchSurvivesPanics(t *testing.T) { // X6
	synctest.Test(t, func(t *testing.T) {
		updates, _ := watch(t, time.Minute, func(ctx context.Context, n int) (discovery.Reading, error) {
			switch n {
			case 0:
				panic("nil map\n\x1b[31m")
			case 1:
				return reading(1), nil
			}
			<-ctx.Done()
			return discovery.Reading{}, ctx.Err()
		})
		if len(updates) != 2 || updates[1].Err != nil {
			t.Fatalf("updates %+v", updates)
		}
		err := updates[0].Err
		if discovery.ClassOf(err) != discovery.Protocol || !strings.Contains(err.Error(), "nil map..") {
			t.Errorf("the panic became %v", err)
		}
	})
}

func TestWatchEndsWithContext(t *testing.T) {
	block := func(ctx context.Context, _ int) (discovery.Reading, error) {
		<-ctx.Done()
		return discovery.Reading{}, context.Cause(ctx)
	}
	answers := map[string]script{
		"while it blocks":            block,
		"while it answers":           func(context.Context, int) (discovery.Reading, error) { return reading(1), nil },
		"while it errs":              func(context.Context, int) (discovery.Reading, error) { return reading(), errors.New("no") },
		"before it was asked at all": block,
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if strings.HasPrefix(name, "before") {
					cancel()
				}
				done := make(chan int)
				src := &scripted{answer: answer}
				go func() {
					n := 0
					discovery.Watch(ctx, src, func(discovery.Update) { n++ })
					done <- n
				}()
				time.Sleep(time.Hour + time.Microsecond)
				cancel()
				start := time.Now()
				n := <-done
				if took := time.Since(start); took != 0 {
					t.Errorf("it ended %s late", took)
				}
				if name == "while it blocks" && n != 0 || strings.HasPrefix(name, "before") && len(src.asked) > 0 {
					t.Errorf("%d updates, asked %d times", n, len(src.asked))
				}
			})
		})
	}
}

func TestStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := discovery.Endpoint{Addr: netip.MustParseAddrPort("169.254.169.254:80"), Name: "meta\ndata"}
		src := discovery.Static([]discovery.Endpoint{endpoint(2), endpoint(1), bad, endpoint(2)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var updates []discovery.Update
		discovery.Watch(ctx, src, func(u discovery.Update) { updates = append(updates, u) })
		if len(updates) != 1 || updates[0].Err != nil || !updates[0].Reading.Whole() {
			t.Fatalf("updates %+v", updates)
		}
		got := updates[0].Reading
		confirmed, err := src.Confirm(t.Context())
		if !slices.Equal(got.Endpoints(), endpoints(1, 2)) || err != nil || !confirmed.Equal(got) {
			t.Errorf("got %+v, confirmed %+v, %v", got, confirmed, err)
		}
		want := []discovery.Rejection{{Reason: discovery.LinkLocal, Name: "meta.data", Value: "169.254.169.254:80"}}
		if !slices.Equal(got.Rejected, want) {
			t.Errorf("rejected %+v", got.Rejected)
		}
		if _, err := src.Confirm(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("confirmed after the end: %v", err)
		}
		if r, err := discovery.Static([]discovery.Endpoint{bad}).Confirm(t.Context()); err != nil || r.Whole() || len(r.Endpoints()) != 0 {
			t.Errorf("all refused: %+v, %v", r, err)
		}
		if r, err := discovery.Static(nil).Confirm(t.Context()); err != nil || !r.Whole() {
			t.Errorf("none: %+v, %v", r, err)
		}
		if s := src.String(); s != "2 configured endpoints" {
			t.Errorf("it is called %q", s)
		}
	})
}

// A source that is broken when it is asked to confirm is one that says nothing.
func TestConfirmGuards(t *testing.T) {
	broken := confirming(func() (discovery.Reading, error) { panic("broken") })
	if r, err := discovery.Confirm(t.Context(), broken); discovery.ClassOf(err) != discovery.Protocol || len(r.Parts) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	b, a := discovery.Endpoint{Addr: netip.MustParseAddrPort("127.0.0.2:80")}, discovery.Endpoint{Addr: netip.MustParseAddrPort("127.0.0.1:80")}
	r, err := discovery.Confirm(t.Context(), confirming(func() (discovery.Reading, error) {
		return discovery.Complete(b, a, b), nil
	}))
	if err != nil || len(r.Parts[0].Endpoints) != 2 || r.Parts[0].Endpoints[0] != a {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := discovery.Confirm(t.Context(), confirming(func() (discovery.Reading, error) {
		return discovery.Complete(a), discovery.Errorf(discovery.Transport, "gone")
	})); err == nil || len(r.Parts) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// confirming is a source that only confirms.
type confirming func() (discovery.Reading, error)

func (confirming) Next(ctx context.Context) (discovery.Reading, error) {
	<-ctx.Done()
	return discovery.Reading{}, ctx.Err()
}

func (c confirming) Confirm(context.Context) (discovery.Reading, error) { return c() }

func (confirming) String() string { return "confirming" }
