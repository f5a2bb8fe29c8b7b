package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

func span(from, to int) []int {
	var out []int
	for p := from; p <= to; p++ {
		out = append(out, p)
	}
	return out
}

// eps and addr are made-up endpoints and their addresses.
var eps, addr = discoverytest.Endpoints, discoverytest.Addr

func set(ports ...int) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, p := range ports {
		out[addr(p)] = true
	}
	return out
}

// lacksAllBut is a strong read that has these alone.
func lacksAllBut(there map[netip.AddrPort]bool) func(netip.AddrPort) Says {
	return func(a netip.AddrPort) Says {
		if there[a] {
			return Has
		}
		return Lacks
	}
}

// A rig is a guard and the time.
type rig struct {
	*Guard
	t   testing.TB
	now time.Time
}

func newRig(t testing.TB, rules Rules, ports ...int) *rig {
	r := &rig{New(rules), t, time.Unix(1000, 0)}
	r.Offer(Offer{Set: eps(ports...)}, r.now)
	return r
}

func (r *rig) after(d time.Duration, o Offer) { r.now = r.now.Add(d); r.Guard.Offer(o, r.now) }

func (r *rig) list(ports ...int) { r.after(0, Offer{Set: eps(ports...)}) }

// confirm has the strongest read say the same as what is listed, when that is due.
func (r *rig) confirm(ports ...int) {
	if at := r.ConfirmAt(r.now); at.After(r.now) {
		r.now = at
	}
	r.Asked(r.now)
	there := set(ports...)
	r.after(0, Offer{Set: eps(ports...), Confirms: lacksAllBut(there)})
}

func (r *rig) want(ports ...int) {
	r.t.Helper()
	var got []int
	for _, e := range r.Published() {
		if e.State == discovery.Ready {
			got = append(got, int(e.Addr.Port()))
		}
	}
	if !slices.Equal(got, ports) {
		r.t.Fatalf("in force: %v, want %v", got, ports)
	}
}

func (r *rig) wantKind(kind string) {
	r.t.Helper()
	if got := r.Kind(); got != kind {
		r.t.Fatalf("held: %q, want %q", got, kind)
	}
}

func TestOnlyWhatAllConfirmationsLackIsRemoved(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(span(80, 83)...)
	r.wantKind(Removal)
	r.confirm(80, 81, 86, 87)
	r.confirm(84, 85, 88, 89)
	r.confirm(80, 81, 82, 83)
	r.want(span(80, 89)...) // each was seen within the hold
	for range Confirmations {
		r.confirm(span(80, 83)...)
	}
	r.want(span(80, 83)...)
	r.wantKind("")
}

func TestConfirmationsAreSpreadOverTheHold(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	begun := r.now
	r.list(80)
	for i := 1; i <= Confirmations; i++ {
		r.confirm(80)
		if took := r.now.Sub(begun); took != time.Duration(i)*DefaultRemovalHold/Confirmations {
			t.Errorf("confirmation %d after %s", i, took)
		}
	}
	r.want(80)
}

func TestEachEndpointIsHeldForItsOwnTime(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(span(80, 83)...)
	begun := r.now
	r.confirm(span(80, 83)...)
	r.confirm(span(80, 83)...)
	r.list(80, 81, 82) // one more is lost late in the hold
	for r.now.Before(begun.Add(DefaultRemovalHold)) {
		r.confirm(80, 81, 82)
	}
	r.want(span(80, 83)...)
	r.wantKind(Removal)
	for r.Kind() != "" {
		r.confirm(80, 81, 82)
	}
	r.want(80, 81, 82)
	if took := r.now.Sub(begun); took < 50*time.Second || took > 51*time.Second {
		t.Errorf("the last one went after %s, want 50s", took)
	}
}

// A leader that moves is missing for some seconds: the old one's time goes on when the
// hold of nothing becomes one of another set.
func TestAHoldThatChangesItsKindGoesOn(t *testing.T) {
	r := newRig(t, Rules{EmptyHold: time.Minute, RemovalHold: 9 * time.Second, TurnoverWait: Off}, 80)
	r.list()
	begun := r.now
	r.wantKind(Empty)
	r.now = r.now.Add(3 * time.Second)
	r.list(81)
	r.wantKind(Removal)
	for r.Kind() != "" {
		r.confirm(81)
	}
	if took := r.now.Sub(begun); took > 12*time.Second {
		t.Errorf("the old one stays for %s", took)
	}
	r.want(81)

	// The recipe for exactly one: the old one goes as soon as there is a new one.
	r = newRig(t, Rules{RemovalHold: Off, TurnoverWait: Off}, 80)
	r.list()
	r.now = r.now.Add(3 * time.Second)
	r.list(81)
	r.want(81)
}

// What leaves nothing that takes traffic is held as empty, also if an endpoint in maintenance
// is still listed; maintenance itself is no loss, be it of all.
func TestNothingButMaintenanceIsEmpty(t *testing.T) {
	resting := func(ports ...int) []discovery.Endpoint {
		out := eps(ports...)
		for i := range out {
			out[i].State, out[i].Reason = discovery.Drain, "maintenance"
		}
		return out
	}
	r := newRig(t, Rules{EmptyHold: time.Hour, RemovalHold: time.Minute}, span(80, 83)...)
	begun := r.now
	r.after(time.Second, Offer{Set: append(eps(80, 81, 82), resting(83)...)})
	r.wantKind("")
	r.want(80, 81, 82)
	r.after(time.Second, Offer{Set: resting(83)})
	r.wantKind(Empty)
	r.want(80, 81, 82)
	if h, _ := r.Hold(r.now); h.ReleasesAt.Sub(begun) < time.Hour {
		t.Errorf("it ends after %s, as a removal", h.ReleasesAt.Sub(begun))
	}
	r.after(10*time.Minute, Offer{Set: resting(83), Confirms: lacksAllBut(nil)})
	r.want(80, 81, 82)

	r = newRig(t, Rules{}, span(80, 83)...)
	r.after(time.Second, Offer{Set: resting(80, 81, 82, 83)})
	r.wantKind("")
	r.want()
	r.after(time.Second, Offer{Set: resting(80, 81, 82)}) // nothing took traffic before either
	r.wantKind("")
	r.after(time.Second, Offer{})
	r.wantKind(Empty)
}

func TestLossIsLessByNewcomersThatWork(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	next := append(span(90, 98), 80) // nine of ten are replaced at once
	r.list(next...)
	r.wantKind(Removal)
	r.want(append(span(80, 89), span(90, 98)...)...)
	r.after(5*time.Second, Offer{Set: eps(next...), Proven: set(90, 91, 92)}) // six lost, of ten
	r.wantKind(Removal)
	r.after(time.Second, Offer{Set: eps(next...), Proven: set(90, 91, 92, 93)})
	r.wantKind("")
	r.want(append([]int{80}, span(90, 98)...)...)
}

// What came while something was held, and never worked, goes at once when it is delisted:
// a bad deployment that is rolled back leaves nothing behind. What did work is held.
func TestNewcomersOfAHold(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(append([]int{80}, span(90, 98)...)...)
	r.want(append(span(80, 89), span(90, 98)...)...)
	r.after(time.Second, Offer{Set: eps(append([]int{80}, span(100, 108)...)...), Proven: set(90)})
	r.want(append(append(span(80, 89), 90), span(100, 108)...)...)
	if !r.Holds(addr(90)) || r.Holds(addr(91)) {
		t.Errorf("held: %v", r.WouldRemove())
	}
	r.list(span(80, 89)...)
	r.want(append(span(80, 89), 90)...) // 90 worked, and waits for its time
}

func TestRollingDeploymentIsNotHeld(t *testing.T) {
	for _, n := range []int{10, 40, 200} {
		for _, batch := range []int{1, n / 4} {
			for _, every := range []time.Duration{time.Second, 10 * time.Second} {
				for _, order := range []string{"in first", "out first", "at once"} {
					t.Run(fmt.Sprintf("%d by %d every %s, %s", n, batch, every, order), func(t *testing.T) {
						r := newRig(t, Rules{}, span(1000, 999+n)...)
						now := span(1000, 999+n)
						for i := 0; i < n; i += batch {
							k := min(batch, n-i)
							in, rest := span(2000+i, 1999+i+k), now[k:]
							switch order {
							case "in first":
								r.list(slices.Concat(now, in)...)
							case "out first":
								r.list(rest...)
							}
							r.wantKind("")
							now = slices.Concat(rest, in)
							r.list(now...)
							r.wantKind("")
							r.want(slices.Sorted(slices.Values(now))...)
							r.now = r.now.Add(every)
						}
					})
				}
			}
		}
	}
}

func TestAcceptIsOfWhatWasShown(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(span(80, 83)...)
	shown, _ := r.Hold(r.now)
	if len(shown.WouldRemove) != 6 || !strings.HasPrefix(shown.ID, "h") {
		t.Fatalf("%+v", shown)
	}
	r.list(84) // more is lost, and one is back
	later, _ := r.Hold(r.now)
	if later.ID == shown.ID || len(later.WouldRemove) != 9 {
		t.Fatalf("%+v", later)
	}
	gone, ok := r.Accept(shown.ID, r.now)
	if !ok || len(gone) != 5 {
		t.Fatalf("accepted %v", gone)
	}
	r.want(span(80, 84)...)
	r.wantKind(Removal)
	if _, ok := r.Accept("h000000", r.now); ok {
		t.Error("an id that was never shown is accepted")
	}
	r.list(84)
	r.want(span(80, 84)...) // the later losses are still held
	last, _ := r.Hold(r.now)
	if gone, ok = r.Accept(last.ID, r.now); !ok || len(gone) != 4 {
		t.Fatalf("accepted %v", gone)
	}
	r.list(84)
	r.want(84)
	r.wantKind("")
}

func TestSilentTimeDoesNotCount(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(80)
	silent := func(netip.AddrPort) bool { return true }
	r.after(10*time.Second, Offer{Set: eps(80), Silent: silent})
	h, _ := r.Hold(r.now)
	left := h.ReleasesAt.Sub(r.now)
	r.after(time.Hour, Offer{Set: eps(80)})
	if h, _ = r.Hold(r.now); h.ReleasesAt.Sub(r.now) != left || left != 20*time.Second {
		t.Errorf("%s are left, and after an hour of silence %s", left, h.ReleasesAt.Sub(r.now))
	}
	for r.Kind() != "" {
		r.confirm(80)
	}
	r.want(80)
}

func TestKeptEndpointsAreNoLoss(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	kept := set(span(82, 89)...)
	r.after(time.Second, Offer{Set: eps(span(80, 89)...), Kept: kept})
	r.wantKind("")
	r.after(time.Hour, Offer{Set: eps(span(81, 89)...), Kept: kept})
	r.wantKind("")
	r.want(span(81, 89)...) // what is listed leaves beside them
	r.list(81)
	r.wantKind("")
	r.want(81) // and they leave once nobody keeps them
}

func TestStateOfAHold(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(span(80, 83)...)
	r.confirm(span(80, 83)...)
	r.now = r.now.Add(5 * time.Second)
	r.list(80, 81, 82)
	s := r.State(r.now)
	again := &rig{New(Rules{}), t, r.now.Add(time.Hour)}
	again.Restore(s, again.now)
	again.after(0, Offer{Set: eps(span(80, 89)...), Kept: set(span(80, 89)...)}) // nobody has answered yet
	again.list(80, 81, 82)
	before, _ := r.Hold(r.now)
	h, ok := again.Hold(again.now)
	if !ok || h.ReleasesAt.Sub(again.now) != before.ReleasesAt.Sub(r.now) || h.Confirmations != 1 {
		t.Fatalf("%+v, before %+v", h, before)
	}
	if again.hold.missing[addr(83)].elapsed(again.now) != 0 || again.hold.missing[addr(84)].elapsed(again.now) != 15*time.Second {
		t.Errorf("%+v", again.hold.missing)
	}

	// As the release before stored it: one time for all.
	again = &rig{New(Rules{}), t, r.now}
	again.Restore(State{Published: eps(span(80, 89)...), Hold: &HoldState{Kind: Removal, Elapsed: 20 * time.Second, Confirmed: 2}}, again.now)
	again.list(80)
	if h, _ := again.Hold(again.now); h.ReleasesAt.Sub(again.now) != 10*time.Second || h.Confirmations != 2 {
		t.Errorf("%+v", h)
	}
}

// TestPastDoesNotOutliveTheWindow, however often one endpoint is replaced by another within it.
func TestPastDoesNotOutliveTheWindow(t *testing.T) {
	r := newRig(t, Rules{MaxRemoval: 1}, span(1, 100)...)
	r.list(span(1, 70)...)
	for n := range 200 {
		r.now = r.now.Add(5 * time.Second)
		r.list(span(2+n, 71+n)...)
	}
	if base := len(r.largest(r.now)); base != 70 || len(r.past) > maxPast {
		t.Errorf("the largest set was of %d, %d are remembered", base, len(r.past))
	}
}

func TestPastIsBounded(t *testing.T) {
	r := newRig(t, Rules{MaxRemoval: 0.9}, span(1, 200)...)
	for n := 199; n > 20; n-- {
		r.list(span(1, n)...)
		r.now = r.now.Add(10 * time.Millisecond)
	}
	if len(r.past) > maxPast {
		t.Errorf("%d sets are remembered", len(r.past))
	}
	if base := len(r.largest(r.now)); base != 200 {
		t.Errorf("the largest set was of %d", base)
	}
}

func TestThreeAreTooManyAndTwoAreNot(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 84)...)
	r.list(80, 81)
	r.wantKind(Removal)
	r = newRig(t, Rules{}, 80, 81, 82)
	r.list(80)
	r.wantKind("")
	r.want(80)
}

// A read that another endpoint was due for says nothing of one that is missing since a moment.
func TestConfirmationsThatComeEarlyDoNotCount(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(80)
	for range 2 * Confirmations {
		r.after(time.Second, Offer{Set: eps(80), Confirms: lacksAllBut(nil)})
	}
	if h, ok := r.Hold(r.now); !ok || h.Confirmations != 0 {
		t.Errorf("%+v", h)
	}
}

func TestNeverIsNeverObeyed(t *testing.T) {
	r := newRig(t, Rules{RemovalHold: Never, EmptyHold: Never}, span(80, 89)...)
	for _, left := range [][]int{{80}, nil} {
		for range 2 * Confirmations {
			r.after(time.Hour, Offer{Set: eps(left...), Confirms: lacksAllBut(nil)})
		}
		r.want(span(80, 89)...)
	}
}
