package placement

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

// TestAround: a slot with an unmanaged address is left alone, and what it was to hold goes
// elsewhere; unless that is what it holds.
func TestAround(t *testing.T) {
	here, other := netip.MustParseAddrPort("127.0.0.9:7"), netip.MustParseAddrPort("127.0.0.9:80")
	ready := func(number int, a netip.AddrPort) slots.Target {
		return slots.Target{Number: number, Addr: a, Class: slots.Ready}
	}
	for name, tt := range map[string]struct{ is, want []slots.Target }{
		"another endpoint": {[]slots.Target{ready(1, other)}, []slots.Target{{Number: 1, Leave: true}, ready(-2, other)}},
		"free":             {[]slots.Target{{Number: 1}}, []slots.Target{{Number: 1, Leave: true}}},
		"the same":         {[]slots.Target{ready(1, here)}, []slots.Target{ready(1, here)}},
		"another slot":     {[]slots.Target{ready(2, other)}, []slots.Target{ready(2, other)}},
	} {
		if got := Around(tt.is, Unmanaged{1: here}, true); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
