package consul

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A streamer makes a fake answer as an agent does that follows services by
// itself, whose servers may be dead.
type streamer struct {
	mu     sync.Mutex // guards following
	dead   bool
	views  map[string]bool // what it follows
	proofs int             // reads that reached a server
}

func streaming(f *consultest.Fake) *streamer {
	s := &streamer{views: map[string]bool{}}
	f.Around(func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, next) }
	})
	return s
}

func (s *streamer) serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	s.mu.Lock()
	dead, known, blocking := s.dead, s.views[r.URL.Path], r.URL.Query().Has("index")
	if !blocking {
		s.proofs++
	} else if !dead {
		s.views[r.URL.Path] = true
	}
	s.mu.Unlock()
	switch {
	case blocking && dead && !known:
		consultest.Good(1, "[]", "X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming")(w, r)
	case blocking:
		next(streamed{w}, r)
	case dead:
		discoverytest.Reply(500, "No known Consul servers")(w, r)
	default:
		next(w, r)
	}
}

// streamed replaces the headers that a view knows nothing of.
type streamed struct{ http.ResponseWriter }

func (w streamed) Write(p []byte) (int, error) {
	w.Header().Set("X-Consul-KnownLeader", "false")
	w.Header().Set("X-Consul-Query-Backend", "streaming")
	return w.ResponseWriter.Write(p)
}

// kill ends the servers, or starts them; forget is what a restart of the agent
// does.
func (s *streamer) kill(dead, forget bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead = dead; forget {
		clear(s.views)
	}
}

func (s *streamer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proofs
}

// TestC20AgentThatStreams takes the servers away from an agent that goes on
// answering from what was streamed to it, and restarts it.
func TestC20AgentThatStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		s := streaming(f)
		c := fakeClient(t, f, Options{})
		watches := startMany(t, f, c, 50)
		time.Sleep(10 * time.Minute)
		if count, err := late(watches, 3); count > 0 || err != nil {
			t.Fatalf("%d are not current: %v", count, err)
		}
		if n, most := s.asked(), 50+10*60/24+50*2; n > most {
			t.Errorf("%d plain reads within 10 minutes, want at most %d", n, most)
		}
		s.kill(true, false)
		for i := range watches {
			f.Set(service(i), consultest.Instances(1)...) // which nobody has said to the servers
		}
		time.Sleep(3 * time.Minute)
		for i, w := range watches {
			updates, _ := w.Seen()
			counts, classes := sets(updates)
			if last := updates[len(updates)-1]; discovery.ClassOf(last.Err) != discovery.Server || !slices.Equal(classes, []discovery.Class{discovery.Server}) {
				t.Fatalf("watch %d: sets of %v, errors %v", i, counts, classes)
			}
		}
		s.kill(true, true)
		time.Sleep(5 * time.Minute)
		for i := range watches {
			f.Set(service(i), consultest.Instances(4)...)
		}
		s.kill(false, false)
		currentWithin(t, watches, 4, 2*time.Second)
		for i, w := range watches {
			if counts, _ := sets(w.End()); slices.Contains(counts, 0) {
				t.Errorf("watch %d: sets of %v", i, counts)
			}
		}
	})
}

// TestStreamedReplies plays a reply of an agent that streams after a first set of
// three, with a proof of freshness that is old, and what the proof then says; where
// something is gone that is a plain read of the service itself.
func TestStreamedReplies(t *testing.T) {
	one := list3[:strings.Index(list3, `,{"Node"`)] + "]"
	entryB := `{"Node":{},"Service":{"ID":"b","Address":"10.9.0.2","Port":1}}`
	two := strings.Replace(one, "]", ","+entryB+"]", 1)
	critical := strings.Replace(two, `}}]`, `},"Checks":[{"CheckID":"x","Status":"critical"}]}]`, 1)
	four := strings.Replace(list3, "[", `[{"Node":{},"Service":{"ID":"d","Address":"10.9.0.4","Port":1}},`, 1)
	header := []string{"X-Consul-KnownLeader", "false", "X-Consul-Query-Backend", "streaming"}
	tests := []struct {
		name         string
		reply, proof http.HandlerFunc
		want         int
		partial      bool
		class        discovery.Class
	}{
		{"nothing is new", consultest.Good(50, list3, header...), consultest.Good(60, "[]"), 3, false, ""},
		{"nothing is new, no servers", consultest.Good(50, list3, header...), discoverytest.Reply(500, "No known Consul servers"), 0, false, discovery.Server},
		{"nothing is new, too busy", consultest.Good(50, list3, header...), discoverytest.Reply(429, ""), 0, false, discovery.Server},
		{"nothing is new, the token is gone", consultest.Good(50, list3, header...), discoverytest.Reply(403, "ACL not found"), 0, false, discovery.Auth},
		{"nothing is new, no leader", consultest.Good(50, list3, header...), consultest.Good(60, "[]", "X-Consul-KnownLeader", "false"), 0, false, discovery.Server},
		{"nothing is new, far behind", consultest.Good(50, list3, header...), consultest.Good(60, "[]", "X-Consul-LastContact", "60000"), 0, false, discovery.Server},
		{"one more", consultest.Good(51, four, header...), nil, 4, true, ""},
		{"two less", consultest.Good(51, two, header...), consultest.Good(51, two), 2, false, ""},
		{"two less, which a server has", consultest.Good(51, two, header...), consultest.Good(52, list3), 3, false, ""},
		{"two less, and one that is critical", consultest.Good(51, critical, header...), consultest.Good(51, two), 2, false, ""},
		{"two less, one that is critical, no servers", consultest.Good(51, critical, header...), discoverytest.Reply(500, "No known Consul servers"), 0, false, discovery.Server},
		{"two less and a new one", consultest.Good(51, strings.Replace(four, entryB+",", "", 1), header...), nil, 3, true, ""},
		{"one less, no servers", consultest.Good(51, two, header...), discoverytest.Reply(500, "No known Consul servers"), 0, false, discovery.Server},
		{"one is critical, no servers", consultest.Good(51, strings.Replace(list3, `}}]`, `},"Checks":[{"CheckID":"x","Status":"critical"}]}]`, 1), header...), discoverytest.Reply(500, "No known Consul servers"), 0, false, discovery.Server},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, s := knowing(t, list3)
				time.Sleep(proofLasts * 6 / 5)
				f.Script(test.reply)
				if test.proof != nil {
					f.Script(test.proof)
				}
				r, err := s.Next(t.Context())
				class := discovery.Class("")
				if err != nil {
					class = discovery.ClassOf(err)
				}
				if len(r.Endpoints()) != test.want || !r.Whole() != test.partial || class != test.class {
					t.Errorf("%d endpoints, partial %v: %v", len(r.Endpoints()), !r.Whole(), err)
				}
				asked := f.Requests()
				if strings.Contains(test.name, "less") {
					if test.proof != nil && (asked[2].URL.Path != "/v1/health/service/web" || len(asked[2].URL.Query()) > 0) {
						t.Errorf("the plain read: %s", asked[2].URL)
					}
				} else if test.proof != nil && (asked[2].URL.Path != "/v1/health/service/consul" || !asked[2].URL.Query().Has("stale")) {
					t.Errorf("the proof: %s", asked[2].URL)
				}
				if err != nil && s.Index() != 0 {
					t.Error("the next read is not plain")
				}
			})
		})
	}
}

// TestProofIsShared has many want one at the same time.
func TestProofIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		c := fakeClient(t, f, Options{})
		p := c.proofs.of("")
		var wg sync.WaitGroup
		need := func(n int, ok bool) {
			t.Helper()
			before := len(f.Requests())
			for range 100 {
				wg.Go(func() {
					err := p.need(t.Context(), func(ctx context.Context) error { return c.prove(ctx, "") })
					if (err == nil) != ok {
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
			if asked := len(f.Requests()) - before; asked != n {
				t.Errorf("asked %d times, want %d", asked, n)
			}
		}
		need(1, true)
		time.Sleep(20 * time.Second)
		need(0, true)
		f.Always(discoverytest.Reply(500, "No cluster leader"))
		need(0, true)
		time.Sleep(20 * time.Second)
		need(1, false)
		if ok, err := p.holds(); ok || err == nil {
			t.Error("a proof, though none was given")
		}
		need(0, false)
		time.Sleep(2 * time.Second)
		need(1, false)
		f.Always(nil)
		time.Sleep(2 * time.Second)
		need(1, true)
	})
}

// TestC38ServerThatCatchesUp replays a server of Consul 1.22 that had just joined
// and answered stale reads with what it had so far, without a sign of trouble.
func TestC38ServerThatCatchesUp(t *testing.T) {
	const all = 1000
	for _, test := range []struct {
		name  string
		index uint64 // of the set that is held
	}{{"behind the index that is held", 1056}, {"which passes the index that is held", 300}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Set("web", consultest.Instances(all)...)
				f.SetIndex(test.index)
				w := discoverytest.Watch(t, fakeSource(t, f, Options{}, Query{}))
				time.Sleep(time.Second)
				joined := time.Now()
				partial := []struct {
					n     int
					index uint64
				}{{164, 180}, {194, 215}, {253, 280}, {341, 370}, {478, 505}, {622, 650}, {803, 840}, {951, 1000}, {all, 1056}}
				f.Around(func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						step := int(time.Since(joined) / (25 * time.Millisecond))
						if !r.URL.Query().Has("stale") || step >= len(partial) {
							next(w, r)
							return
						}
						p := partial[step]
						consultest.Good(p.index, encode(t, consultest.Instances(p.n)), "X-Consul-LastContact", "6")(w, r)
					}
				})
				f.SetIndex(1056)
				time.Sleep(3 * time.Minute)
				if counts, classes := sets(w.End()); !slices.Equal(counts, []int{all}) {
					t.Errorf("sets of %v, errors %v", counts, classes)
				}
			})
		})
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return string(raw)
}
