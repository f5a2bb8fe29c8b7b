package consul

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// TestC57StreamsDoNotTellRights narrows a token while the agent streams: what cannot be
// read any more goes at the next change, without a sign.
func TestC57StreamsDoNotTellRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Stream(true)
		f.Hide("someone-else", "node-web-9")
		f.Set("web", instancesOf(1, 2, 3, 4)...)
		s := fakeSource(t, f, withToken(), Query{})
		w := discoverytest.Watch(t, s)
		time.Sleep(10 * time.Second)
		f.Hide(token, "node-web-2")
		time.Sleep(3 * time.Minute)
		got, n := said(w, 0)
		if !slices.Equal(got, []string{"1 2 3 4"}) {
			t.Fatalf("before anything changes: %q", got)
		}
		f.Set("web", instancesOf(1, 2, 3, 4, 5)...)
		time.Sleep(time.Second)
		if got, n = said(w, n); !slices.Equal(got, []string{"1 3 4 5 ~"}) {
			t.Errorf("one comes: %q", got)
		}
		f.Set("web", instancesOf(1, 2, 4, 5)...)
		time.Sleep(time.Second)
		if got, n = said(w, n); !slices.Equal(got, []string{"1 4 5 ~"}) {
			t.Errorf("one goes: %q", got)
		}
		updates, _ := w.Seen()
		if why := updates[n-1].Reading.Gaps(); !slices.Equal(why, []string{hidden}) {
			t.Errorf("why: %q", why)
		}
		if remarks := s.Activity().Remarks; !slices.Contains(remarks, "nothing is removed: "+hidden) {
			t.Errorf("remarks: %q", remarks)
		}
		if r, err := s.Confirm(t.Context()); err != nil || discoverytest.Describe(r) != "1 4 5 ~" {
			t.Errorf("confirmed: %+v, %v", r, err)
		}
		// Somebody says that this is how it is to be.
		s.Accept()
		if r, err := s.Confirm(t.Context()); err != nil || discoverytest.Describe(r) != "1 4 5" {
			t.Errorf("confirmed after that: %+v, %v", r, err)
		}
		time.Sleep(2 * time.Minute)
		if got, n = said(w, n); !slices.Equal(got, []string{"1 4 5"}) {
			t.Errorf("accepted: %q", got)
		}
		f.Set("web", instancesOf(1, 2, 5)...)
		time.Sleep(time.Second)
		if got, _ = said(w, n); !slices.Equal(got, []string{"1 5"}) {
			t.Errorf("another goes: %q", got)
		}
		if len(s.Activity().Remarks) != 0 {
			t.Errorf("remarks: %q", s.Activity().Remarks)
		}
	})
}

// TestC58StreamedLossIsReadPlainly has instances go while the agent streams and the token
// may read everything.
func TestC58StreamedLossIsReadPlainly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Stream(true)
		f.Set("web", instancesOf(1, 2, 3, 4)...)
		w := discoverytest.Watch(t, fakeSource(t, f, withToken(), Query{}))
		time.Sleep(5 * time.Second)
		asked := len(f.Requests())
		f.Set("web", instancesOf(1, 2, 4)...)
		time.Sleep(time.Second)
		got, _ := said(w, 0)
		if !slices.Equal(got, []string{"1 2 3 4", "1 2 4"}) {
			t.Errorf("one goes: %q", got)
		}
		if r := f.Requests()[asked]; r.URL.RawQuery != "" {
			t.Errorf("it was confirmed by %s", r.URL)
		}
	})
}

// TestC58NothingWaitsForAPlainRead has something new come by a stream together with a
// loss, while no server answers.
func TestC58NothingWaitsForAPlainRead(t *testing.T) {
	drained := instancesOf(1, 4)
	drained[1].Checks = append(drained[1].Checks, &api.HealthCheck{CheckID: api.NodeMaint, Status: api.HealthCritical})
	for name, test := range map[string]struct {
		set             []*api.ServiceEntry
		now, afterwards string
	}{
		"one comes":      {instancesOf(1, 4, 5), "1 4 5 ~", "1 4 5"},
		"one is drained": {drained, "1 4 drain ~", "1 4 drain"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := consultest.NewFake(t)
				f.Stream(true)
				f.Set("web", instancesOf(1, 2, 4)...)
				w := discoverytest.Watch(t, fakeSource(t, f, withToken(), Query{}))
				time.Sleep(5 * time.Second)
				f.Around(func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Query().Has("index") {
							next(w, r)
							return
						}
						<-r.Context().Done()
					}
				})
				f.Set("web", test.set...)
				time.Sleep(time.Second)
				got, n := said(w, 0)
				if !slices.Equal(got, []string{"1 2 4", test.now}) {
					t.Errorf("it said %q", got)
				}
				time.Sleep(30 * time.Second)
				if got, n = said(w, n); !slices.Equal(got, []string{"transport"}) {
					t.Errorf("no server answers: %q", got)
				}
				f.Around(func(next http.HandlerFunc) http.HandlerFunc { return next })
				time.Sleep(time.Minute)
				if got, _ = said(w, n); got[len(got)-1] != test.afterwards {
					t.Errorf("they do again: %q", got)
				}
			})
		})
	}
}
