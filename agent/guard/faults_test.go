package guard

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// An accept that comes late, when all is back, forgets nothing: the same loss is held again.
func TestLateAcceptForgetsNothing(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 99)...)
	r.list(span(80, 84)...)
	shown, _ := r.Hold(r.now)
	r.list(span(80, 99)...)
	r.wantKind("")
	if gone, ok := r.Accept(shown.ID, r.now); !ok || len(gone) > 0 {
		t.Fatalf("accepted %v", gone)
	}
	r.list(span(80, 84)...)
	r.wantKind(Removal)
	r.want(span(80, 99)...)
}

// Confirmations are spread over a hold that became a shorter one, too.
func TestConfirmationsAreSpreadOverAHoldThatGetsShorter(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list()
	r.now = r.now.Add(90 * time.Second)
	r.list(80)
	r.wantKind(Removal)
	begun := r.now
	for r.Kind() != "" {
		r.confirm(80)
	}
	if took := r.now.Sub(begun); took != 2*DefaultRemovalHold/Confirmations {
		t.Errorf("three confirmations took %s", took)
	}
}

// A read that has an endpoint is no part of a row of those that lack it, though a younger answer
// lacks it again.
func TestReadThatHasItEndsTheRow(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	r.list(80)
	r.confirm(80)
	r.now = r.ConfirmAt(r.now)
	r.Asked(r.now)
	r.after(0, Offer{Set: eps(80), Confirms: func(netip.AddrPort) Says { return Has }})
	r.confirm(80)
	r.confirm(80)
	r.wantKind(Removal)
	r.confirm(80)
	r.wantKind("")
	r.want(80)
}

// What a hold that never ends keeps of those that came later is as many as it began with: of
// them, who left first goes first.
func TestHoldThatNeverEndsIsBounded(t *testing.T) {
	r := newRig(t, Rules{RemovalHold: Never, EmptyHold: Never}, span(80, 89)...)
	for port := 1000; port < 1100; port++ {
		r.list(80, port)
		r.after(time.Minute, Offer{Set: eps(80, port), Proven: set(port)})
	}
	r.wantKind(Removal)
	r.want(slices.Concat(span(80, 89), span(1089, 1099))...)
	if n := len(r.hold.established); n > 30 {
		t.Errorf("%d are remembered", n)
	}
}

// Who was in the largest set and comes back as the others are held is missing like any other
// when it leaves again.
func TestWhoCameBackDuringAHoldIsHeldToo(t *testing.T) {
	r := newRig(t, Rules{RemovalHold: Never}, span(80, 83)...)
	r.list(80, 82, 83)
	r.list(81)
	r.want(span(80, 83)...)
	r.list()
	r.wantKind(Empty)
	r.want(span(80, 83)...)
}

// A hold that never ends gives no slots away.
func TestNeverGivesNothingAway(t *testing.T) {
	r := newRig(t, Rules{RemovalHold: Never}, span(80, 89)...)
	r.list(span(90, 99)...)
	if r.GiveWay(r.now) {
		t.Error("some of what is held gave way")
	}
	r.want(span(80, 99)...)
}

// A guard forgets what is accepted and gone, be it unhealthy.
func TestAcceptForgetsWhatIsGone(t *testing.T) {
	r := newRig(t, Rules{}, span(80, 89)...)
	down := eps(span(80, 89)...)
	for i := range down[:6] {
		down[i].State = discovery.Down
	}
	r.after(0, Offer{Set: down})
	shown, _ := r.Hold(r.now)
	if gone, _ := r.Accept(shown.ID, r.now); len(gone) != 6 {
		t.Fatalf("accepted %v", gone)
	}
	r.wantKind("")
	r.list(86, 87) // of four that are left
	r.wantKind("")
	r.want(86, 87)
}
