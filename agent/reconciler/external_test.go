package reconciler

import (
	"net/netip"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// A slot that is found out of service while an operator's word that it is to serve is on its way
// is given back by that word, in whichever order the two happen.
func TestStartMeetsWhatIsJustFound(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.9:80")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	spec := BackendSpec{Proxy: "web", Prefix: "web", Targets: []slots.Target{{Number: 1, Addr: addr, Class: slots.Ready, Weight: 1}}}
	for name, started := range map[string]time.Time{"before it is found": now.Add(-time.Millisecond), "at that moment": now, "after it": now.Add(time.Millisecond)} {
		t.Run(name, func(t *testing.T) {
			b := newBackendState(Known{})
			shows := func(class slots.Class, at time.Time) {
				b.observe([]slots.Server{{Name: "web1", Number: 1, Addr: addr, Class: class, Weight: 1}}, true, at)
				b.judge(true, at)
			}
			b.take(spec)
			shows(slots.Ready, now.Add(-time.Second))
			shows(slots.Maint, now)
			if len(b.externals) != 1 {
				t.Fatalf("somebody took %+v", b.externals)
			}
			next := spec
			next.Started = map[netip.AddrPort]time.Time{addr: started}
			b.take(next)
			shows(slots.Maint, now.Add(time.Second))
			if len(b.externals) != 0 {
				t.Errorf("still somebody's: %+v", b.externals)
			}
			shows(slots.Ready, now.Add(2*time.Second))
			b.take(next) // an older word gives nothing back
			shows(slots.Maint, now.Add(3*time.Second))
			b.take(next)
			if len(b.externals) != 1 {
				t.Errorf("somebody took %+v afterwards", b.externals)
			}
		})
	}
}

// What an operator gave back is not somebody's because it was decided about again, by an old look.
func TestStartBeforeTheNextLook(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.9:80")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := newBackendState(Known{})
	server := slots.Server{Name: "web1", Number: 1, Addr: addr, Class: slots.Ready, Weight: 1}
	spec := BackendSpec{Proxy: "web", Prefix: "web", Targets: []slots.Target{{Number: 1, Addr: addr, Class: slots.Ready, Weight: 1}}}
	b.take(spec)
	b.observe([]slots.Server{server}, true, now)
	b.judge(true, now)
	spec.Started = map[netip.AddrPort]time.Time{addr: now.Add(time.Second)}
	b.take(spec)
	b.judge(true, now.Add(2*time.Second))
	server.Class = slots.Maint
	b.observe([]slots.Server{server}, true, now.Add(3*time.Second))
	if taken, _ := b.judge(true, now.Add(3*time.Second)); len(taken) > 0 {
		t.Errorf("somebody took %v", taken)
	}
}
