package doctor

import (
	"net/netip"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

// TestWellFormed: whatever a slot lacks of the recommended form is seen, in one of many too.
func TestWellFormed(t *testing.T) {
	good := slots.Server{Name: "web1", Addr: netip.MustParseAddrPort("127.0.0.1:1"), FQDN: "slot.invalid", Disabled: true, Initial: fullWeight}
	if !WellFormed([]slots.Server{good, good}) {
		t.Errorf("%+v is not", good)
	}
	for name, spoil := range map[string]func(s *slots.Server){
		"no address": func(s *slots.Server) { s.NoAddress = true },
		"resolved":   func(s *slots.Server) { s.Resolved = true },
		"numeric":    func(s *slots.Server) { s.FQDN = "" },
		"enabled":    func(s *slots.Server) { s.Disabled = false },
		"light":      func(s *slots.Server) { s.Initial = fullWeight - 1 },
		"no port":    func(s *slots.Server) { s.Addr = netip.AddrPortFrom(s.Addr.Addr(), 0) },
	} {
		bad := good
		spoil(&bad)
		if WellFormed([]slots.Server{good, bad}) {
			t.Errorf("%s: %+v is", name, bad)
		}
	}
}
