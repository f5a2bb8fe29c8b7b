package agent

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// TestOverrideOfTheWeightOfAnAddress: on all backends, also of what comes later; what
// was asked of one endpoint goes before.
func TestOverrideOfTheWeightOfAnAddress(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		weights := func() (all []int) {
			a.with(func() {
				for i := range 3 {
					all = append(all, a.servers["web"][i].Weight)
				}
			})
			return all
		}
		w.weigh("web2", "58")
		refs, err := w.agent.SetAddressWeight(w.t.Context(), netip.MustParseAddr("::ffff:127.0.0.9"), "20%", api.Who{})
		if err != nil || len(refs) != 2 {
			w.t.Fatalf("got %+v, %v", refs, err)
		}
		w.source.list(80, 81, 82)
		w.settle()
		if got := weights(); !slices.Equal(got, []int{20, 58, 20}) {
			w.t.Errorf("weights %v", got)
		}
		w.stop()
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		if got := weights(); !slices.Equal(got, []int{20, 58, 20}) {
			w.t.Errorf("after a restart: weights %v", got)
		}
		if _, err := w.agent.SetAddressWeight(w.t.Context(), netip.MustParseAddr("127.0.0.9"), "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		if got := weights(); !slices.Equal(got, []int{100, 58, 100}) {
			w.t.Errorf("given back: weights %v", got)
		}
		for _, bad := range []struct{ ip, weight string }{{"127.0.0.9", "257"}, {"fe80::1%eth0", "5"}} {
			if _, err := w.agent.SetAddressWeight(w.t.Context(), netip.MustParseAddr(bad.ip), bad.weight, api.Who{}); !errors.Is(err, api.ErrBadRequest) {
				w.t.Errorf("%v: got %v", bad, err)
			}
		}
	}, a)
}

func TestOverrideOfTheWeight(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		weight := func() (n int) {
			a.with(func() { n = a.servers["web"][1].Weight })
			return n
		}
		for _, c := range []struct {
			weight string
			want   int
		}{{"58", 58}, {"20%", 20}, {"250%", 250}, {"300%", 256}, {"1%", 1}, {"", 100}} {
			w.weigh("web2", c.weight)
			if got := weight(); got != c.want {
				w.t.Errorf("%q: weight %d, want %d", c.weight, got, c.want)
			}
		}
		for _, zero := range []string{"0", "0%"} {
			w.weigh("web2", zero)
			w.want(a, "web1=:80 web2=:81/drain")
			if row := w.status().Backends[0].Slots[1].Instances[0]; row.HeldBy != "operator" {
				w.t.Errorf("held by %q", row.HeldBy)
			}
		}
		if _, err := w.agent.SetState(w.t.Context(), "web", "web2", api.StateReady, api.Who{}); !errors.Is(err, api.ErrOverruled) {
			w.t.Errorf("started: %v", err)
		}
		w.weigh("web2", "10")
		w.want(a, "web1=:80 web2=:81")
		a.restart(false)
		w.pass(time.Minute)
		if weight() != 10 {
			w.t.Errorf("after a restart: weight %d", weight())
		}
	}, a)
}

// TestShareOfTheWeight: it is of the template's as that is now, also for a server that is
// added at run time.
func TestShareOfTheWeight(t *testing.T) {
	a := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Dynamic = true
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		if _, err := w.agent.SetAddressWeight(w.t.Context(), netip.MustParseAddr("127.0.0.9"), "20%", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(80, 81, 82)
		w.settle()
		weights := func() (all []int) {
			a.with(func() {
				for _, s := range a.servers["web"] {
					all = append(all, s.Weight)
				}
			})
			return all
		}
		if got := weights(); !slices.Equal(got, []int{20, 20, 20}) {
			w.t.Errorf("weights %v", got)
		}
		a.restart(true)
		a.with(func() {
			for i := range a.servers["web"] {
				a.servers["web"][i].Initial = 50
			}
		})
		w.pass(time.Minute)
		if got := weights(); !slices.Equal(got, []int{10, 10, 10}) {
			w.t.Errorf("after a reload with another weight: weights %v", got)
		}
	}, a)
}
