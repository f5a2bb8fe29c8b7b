package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

// TestD9RealServerIsRestarted asks BIND over a connection that was kept, and that a
// restart has closed: that costs a new connection and is no error.
func TestD9RealServerIsRestarted(t *testing.T) {
	t.Parallel()
	server := dnstest.StartBind(t, realZone(fleet(3)))
	o := realOptions(server.Addr())
	o.TCP = Always
	s := newSource(t, o, Query{Record: "web.slots.example", Port: realPort})
	t.Cleanup(func() { _ = s.client.Close() })
	for range realRounds(2) {
		if r := next(t, s); len(r.Endpoints()) != 3 || len(gaps(r)) > 0 {
			t.Fatalf("got %+v", r)
		}
		kept := s.client.links.take(server.Addr())
		if kept == nil || !s.client.links.keep(server.Addr(), kept) {
			t.Fatal("no connection was kept")
		}
		server.Restart()
	}
	if r := next(t, s); len(r.Endpoints()) != 3 || len(gaps(r)) > 0 {
		t.Fatalf("got %+v", r)
	}
}

// TestD37TimesAreMonotonic wants the time at which a name is asked for again to
// have a reading of the monotonic clock: package time compares such times by that
// alone, wherever the wall clock jumps to.
func TestD37TimesAreMonotonic(t *testing.T) {
	t.Parallel()
	server := dnstest.NewServer(t)
	server.SetA("web.slots.example", time.Second, fleet(1)...)
	s := newSource(t, patient(server.Addr()), Query{Record: "web.slots.example", Port: realPort})
	next(t, s)
	if due := s.due.String(); !strings.Contains(due, " m=") {
		t.Errorf("it is asked for again at %s", due)
	}
}
