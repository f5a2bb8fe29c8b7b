package agent

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
)

// maxLimited is how much may be asked for without full rights.
const maxLimited = 50

// TestQuotaWithoutFullRights: who has fewer rights uses up no place of who has more, and
// asks for nothing that lasts longer than it may.
func TestQuotaWithoutFullRights(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.start()
		limited := api.Who{By: "loopback", MaxFor: time.Hour}
		ask := func(i int, who api.Who) error {
			ip := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			_, err := w.agent.SetAddressState(w.t.Context(), ip, api.StateDrain, who)
			return err
		}
		for i := range maxLimited {
			if err := ask(i, limited); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := ask(maxLimited, limited); !errors.Is(err, api.ErrBadRequest) || !strings.Contains(err.Error(), "50 at most without full rights") {
			w.t.Errorf("one more: %v", err)
		}
		if err := ask(0, limited); err != nil {
			w.t.Errorf("one that there is, again: %v", err)
		}
		for i := range override.Max {
			if err := ask(1000+i, api.Who{By: "root"}); err != nil {
				w.t.Fatalf("with full rights, %d: %v", i, err)
			}
		}
		if err := ask(3000, api.Who{By: "root"}); !errors.Is(err, api.ErrBadRequest) {
			w.t.Errorf("one more with full rights: %v", err)
		}
		if n := len(w.status().Overrides); n != override.Max+maxLimited {
			w.t.Errorf("%d are in force", n)
		}
		w.stop()
		w.start()
		if n := len(w.status().Overrides); n != override.Max+maxLimited {
			w.t.Errorf("%d are in force after a restart", n)
		}
		if err := ask(maxLimited, limited); err == nil {
			w.t.Error("the quota is forgotten at a restart")
		}
		w.pass(time.Hour)
		if n := len(w.status().Overrides); n != override.Max {
			w.t.Errorf("%d are in force after the longest time", n)
		}
	}, a)
}

// TestMaxForWithoutFullRights bounds overrides and pauses alike.
func TestMaxForWithoutFullRights(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		for _, tt := range []struct {
			ask, most, want time.Duration // 0 for no end, -1 for refused
		}{
			{0, 0, 0}, {100_000 * time.Hour, 0, 100_000 * time.Hour}, {0, time.Hour, time.Hour}, {time.Minute, time.Hour, time.Minute},
			{time.Hour, time.Hour, time.Hour}, {time.Hour + 1, time.Hour, -1}, {100_000 * time.Hour, 720 * time.Hour, -1},
		} {
			who := api.Who{For: tt.ask, MaxFor: tt.most}
			_, err := w.agent.SetWeight(w.t.Context(), "web", "web1", "5", who)
			if (err != nil) != (tt.want < 0) || err != nil && !strings.Contains(err.Error(), "http.max_for") {
				w.t.Errorf("%+v: %v", tt, err)
			} else if err == nil {
				o := w.status().Overrides[0]
				if tt.want == 0 && o.Until != nil || tt.want > 0 && !o.Until.Equal(o.Since.Add(tt.want)) || o.Limited != (tt.most > 0) {
					w.t.Errorf("%+v: %+v", tt, o)
				}
			}
			p, err := w.agent.Pause(w.t.Context(), "web", true, who)
			if (err != nil) != (tt.want < 0) {
				w.t.Errorf("%+v: %v", tt, err)
			} else if want := cmp.Or(tt.ask, api.DefaultPause); err == nil && !p.Until.Equal(p.Since.Add(want)) {
				w.t.Errorf("%+v: %+v", tt, p)
			}
		}
		if p, err := w.agent.Pause(w.t.Context(), "", false, api.Who{MaxFor: time.Minute}); err != nil || !p.Until.Equal(p.Since.Add(time.Minute)) {
			w.t.Errorf("%+v, %v", p, err)
		}
	}, a)
}
