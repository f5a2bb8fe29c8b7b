package consul

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// startMany watches n services of c, of three instances each, named by service.
func startMany(t *testing.T, f *consultest.Fake, c *Client, n int) []*discoverytest.Watched {
	t.Helper()
	watches := make([]*discoverytest.Watched, n)
	for i := range watches {
		f.Set(service(i), consultest.Instances(3)...)
		watches[i] = discoverytest.Watch(t, source(t, c, Query{Service: service(i)}))
	}
	return watches
}

func service(i int) string { return fmt.Sprintf("web-%d", i) }

// late returns how many of the watches have another set now than one of n instances,
// and the first error after the update that from names for each.
func late(watches []*discoverytest.Watched, n int) (count int, err error) {
	for _, w := range watches {
		updates, _ := w.Seen()
		if len(updates) == 0 || len(updates[len(updates)-1].Reading.Endpoints()) != n {
			count++
		}
		if err == nil {
			err = firstError(updates)
		}
	}
	return count, err
}

// A gauge counts the requests of each kind that are under way in a fake.
type gauge struct {
	mu                      sync.Mutex // guards following
	plain, blocking         int
	mostPlain, mostBlocking int
}

func (g *gauge) add(r *http.Request, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Query().Has("index") {
		g.blocking += n
	} else {
		g.plain += n
	}
	g.mostPlain, g.mostBlocking = max(g.mostPlain, g.plain), max(g.mostBlocking, g.blocking)
}

func (g *gauge) most() (plain, blocking int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mostPlain, g.mostBlocking
}

// measure has f's requests counted, each of which takes 5 ms at least.
func measure(f *consultest.Fake) *gauge {
	g := &gauge{}
	f.Around(func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			g.add(r, 1)
			defer g.add(r, -1)
			discovery.Sleep(r.Context(), 5*time.Millisecond)
			next(w, r)
		}
	})
	return g
}

// TestC12MoreServicesThanConnections watches more services over HTTP/1 than an
// agent takes connections: none starves, and no blocking query waits for another.
func TestC12MoreServicesThanConnections(t *testing.T) {
	for _, n := range []int{150, share(1000, 300)} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Limit(200)
				g := measure(f)
				c := fakeClient(t, f, Options{})
				watches := startMany(t, f, c, n)
				time.Sleep(3 * time.Second)
				if count, err := late(watches, 3); count > 0 || err != nil {
					t.Fatalf("at first %d are not current: %v", count, err)
				}
				time.Sleep(20 * time.Second)
				for i := range watches {
					f.Set(service(i), consultest.Instances(4)...)
				}
				time.Sleep(100 * time.Millisecond)
				if count, err := late(watches, 4); n-count < queries || n-count > queries+n/20 || err != nil {
					t.Errorf("%d have news at once, want those that hold a place and few more: %v", n-count, err)
				}
				time.Sleep(12 * time.Second)
				if count, err := late(watches, 4); count > 0 || err != nil {
					t.Errorf("%d are not current after a poll interval: %v", count, err)
				}
				plain, blocking := g.most()
				if _, conns := f.Connections(); conns > connections || plain > reads || blocking > queries {
					t.Errorf("%d connections, %d plain reads and %d blocking queries at a time", conns, plain, blocking)
				}
				// Whoever leaves gives a place to one that polls, once the agent no
				// longer counts it.
				for _, w := range watches[:n-50] {
					w.End()
				}
				time.Sleep(90 * time.Second)
				for i := range watches {
					f.Set(service(i), consultest.Instances(2)...)
				}
				time.Sleep(100 * time.Millisecond)
				if count, err := late(watches[n-50:], 2); count > 0 || err != nil {
					t.Errorf("%d of 50 are not current at once: %v", count, err)
				}
			})
		})
	}
}

// TestC39WatchesAreReplaced ends 150 watches and starts as many: though an agent
// counts the queries that were given up, its limit is not reached.
func TestC39WatchesAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		c := fakeClient(t, f, Options{})
		first := startMany(t, f, c, 150)
		time.Sleep(5 * time.Second)
		for _, w := range first {
			w.End()
		}
		synctest.Wait()
		taken, read, n := c.http.InUse()
		if taken+read != 0 {
			t.Errorf("%d places are still taken", taken+read)
		}
		if n < queries {
			t.Errorf("%d queries are counted that were given up", n)
		}
		second := startMany(t, f, c, 150)
		time.Sleep(5 * time.Second)
		if count, err := late(second, 3); count > 0 || err != nil {
			t.Errorf("%d are not current: %v", count, err)
		}
		blocking := 0
		for _, r := range f.Requests() {
			if r.URL.Query().Has("index") {
				blocking++
			}
		}
		if most := 2 * queries; blocking > most {
			t.Errorf("%d blocking queries within a wait, want at most %d", blocking, most)
		}
		time.Sleep(2 * time.Minute)
		if _, _, n := c.http.InUse(); n != queries {
			t.Errorf("%d queries are counted in the end", n)
		}
	})
}

// TestC11NothingIsStarted has many watches meet an agent that is too busy for
// anything: a few ask every 5 seconds.
func TestC11NothingIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		c := fakeClient(t, f, Options{})
		watches := startMany(t, f, c, share(300, 120))
		time.Sleep(5 * time.Second)
		for i := range watches {
			f.Touch(service(i))
		}
		before := len(f.Requests())
		f.Always(discoverytest.Reply(429, "Your IP is issuing too many concurrent connections"))
		time.Sleep(10 * time.Minute)
		if n := len(f.Requests()) - before; n > queries+600/4*reads+600/4*10 {
			t.Errorf("%d requests within 10 minutes", n)
		}
		braked := false
		for _, remark := range source(t, c, Query{}).Activity().Remarks {
			braked = braked || strings.Contains(remark, "too busy")
		}
		if !braked {
			t.Error("the brake is not shown")
		}
		f.Always(nil)
		time.Sleep(70 * time.Second)
		for i, w := range watches {
			updates := w.End()
			counts, classes := sets(updates)
			if len(counts) != 1 || counts[0] != 3 || len(classes) > 1 || len(classes) == 1 && classes[0] != discovery.Busy {
				t.Fatalf("watch %d: sets of %v, errors %v", i, counts, classes)
			}
			if last := updates[len(updates)-1]; last.Err != nil {
				t.Errorf("watch %d has not recovered: %v", i, last.Err)
			}
		}
	})
}
