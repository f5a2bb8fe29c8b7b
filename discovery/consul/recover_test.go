package consul

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// currentWithin wants all watches to have n instances soon; the fake has them
// already.
func currentWithin(t *testing.T, watches []*discoverytest.Watched, n int, most time.Duration) {
	t.Helper()
	begun := time.Now()
	for {
		count, _ := late(watches, n)
		if count == 0 {
			t.Logf("%d watches are current after %s", len(watches), time.Since(begun))
			return
		}
		if time.Since(begun) > most {
			t.Fatalf("%d of %d are not current after %s", count, len(watches), most)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestAllAreBackSoon takes an agent, its servers or the token away from hundreds
// of watches, for short and for long, and changes everything meanwhile: nothing is
// removed, few questions are asked, and all is current within 2 seconds.
func TestAllAreBackSoon(t *testing.T) {
	refuse := func(f *consultest.Fake, on bool) { f.Refuse(on) }
	reply := func(h http.HandlerFunc) func(*consultest.Fake, bool) {
		return func(f *consultest.Fake, on bool) {
			f.Always(nil)
			if on {
				f.Always(h)
			}
		}
	}
	tests := []struct {
		name  string
		fault func(f *consultest.Fake, on bool)
		class discovery.Class
		count int
		lower bool // indexes begin anew
	}{
		{"C10 the agent is gone", refuse, discovery.Transport, share(300, 120), false},
		{"C15 the token is refused", reply(discoverytest.Reply(403, "ACL not found")), discovery.Auth, share(300, 120), false},
		{"C37 there is no leader", reply(discoverytest.Reply(500, "No cluster leader")), discovery.Server, share(500, 150), false},
		{"C23 everything was lost", refuse, discovery.Transport, share(300, 120), true},
	}
	for _, test := range tests {
		for _, away := range []time.Duration{2 * time.Second, time.Duration(share(60, 1)) * time.Minute} {
			t.Run(test.name+" for "+away.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := consultest.NewFake(t)
					g := measure(f)
					c := fakeClient(t, f, Options{})
					watches := startMany(t, f, c, test.count)
					time.Sleep(time.Minute)
					test.fault(f, true)
					for i := range watches {
						f.Touch(service(i)) // which ends the queries that wait
					}
					before := len(f.Requests())
					time.Sleep(away)
					if n, most := len(f.Requests())-before, 4*test.count+test.count*int(away/(10*time.Second)); n > most {
						t.Errorf("%d questions within %s, want at most %d", n, away, most)
					}
					for i := range watches {
						f.Set(service(i), consultest.Instances(4)...)
					}
					if test.lower {
						f.SetIndex(7)
					}
					test.fault(f, false)
					currentWithin(t, watches, 4, 2*time.Second)
					time.Sleep(5 * time.Second)
					haveRecovered(t, watches, test.class)
					if plain, blocking := g.most(); plain > 2*reads || blocking > 2*queries { // the fake may not know yet that some were given up
						t.Errorf("%d plain reads and %d blocking queries at a time", plain, blocking)
					}
				})
			})
		}
	}
}

// haveRecovered wants each watch to have gone from 3 to 4 instances, with errors of
// no other class between.
func haveRecovered(t *testing.T, watches []*discoverytest.Watched, class discovery.Class) {
	t.Helper()
	for i, w := range watches {
		updates := w.End()
		counts, classes := sets(updates)
		if !slices.Equal(counts, []int{3, 4}) || len(classes) > 1 || len(classes) == 1 && classes[0] != class {
			t.Fatalf("watch %d: sets of %v, errors %v", i, counts, classes)
		}
		if last := updates[len(updates)-1]; last.Err != nil {
			t.Fatalf("watch %d has not recovered: %v", i, last.Err)
		}
	}
}

// TestOneThatIsRefusedForEver has a service that the token may not read beside
// others: it keeps none of them back, and does not go round in circles when they
// come back.
func TestOneThatIsRefusedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Around(func(next http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/health/service/secret" {
					discoverytest.Reply(403, "Permission denied")(w, r)
					return
				}
				next(w, r)
			}
		})
		c := fakeClient(t, f, Options{})
		refused := discoverytest.Watch(t, source(t, c, Query{Service: "secret"}))
		watches := startMany(t, f, c, 10)
		for range 5 {
			time.Sleep(time.Minute)
			f.Refuse(true)
			time.Sleep(time.Minute)
			f.Refuse(false)
			currentWithin(t, watches, 3, 2*time.Second)
			f.Refuse(true)
			time.Sleep(10 * time.Second)
			f.Refuse(false)
		}
		time.Sleep(10 * time.Minute)
		asked := 0
		for _, r := range f.Requests() {
			if r.URL.Path == "/v1/health/service/secret" {
				asked++
			}
		}
		if n := len(refused.End()); asked > 1500 || n > 150 {
			t.Errorf("within a quarter of an hour it was asked for %d times, %d of them told", asked, n)
		}
	})
}

// TestC10Attempts counts what many watches try of an agent that refuses them: about
// one attempt a second in all besides each watch's own, whose pauses grow to 30 s.
func TestC10Attempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		c := fakeClient(t, f, Options{})
		var dialed atomic.Int64
		dial := c.http.Dial
		c.http.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed.Add(1)
			return dial(ctx, network, address)
		}
		n := share(100, 30)
		watches := startMany(t, f, c, n)
		time.Sleep(10 * time.Second)
		f.Refuse(true)
		time.Sleep(time.Minute)
		dialed.Store(0)
		time.Sleep(time.Hour)
		if got := dialed.Load(); got > int64(3600*5/4+n*3600/14) {
			t.Errorf("%d attempts within an hour", got)
		}
		f.Refuse(false)
		currentWithin(t, watches, 3, 2*time.Second)
	})
}

func TestBusyAndProtocolWait(t *testing.T) {
	for _, class := range []discovery.Class{discovery.Busy, discovery.Config, discovery.Protocol} {
		synctest.Test(t, func(t *testing.T) {
			f := consultest.NewFake(t)
			f.Set("web", consultest.Instances(3)...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begun := time.Now()
			fakeSource(t, f, Options{}, Query{}).Recovered(ctx, discovery.Errorf(class, "x"))
			if took := time.Since(begun); took != time.Minute || len(f.Requests()) != 0 {
				t.Errorf("%s: it went on after %s and %d requests", class, took, len(f.Requests()))
			}
		})
	}
}
