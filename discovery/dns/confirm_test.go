package dns

import (
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

func TestConfirm(t *testing.T) {
	t.Run("asks the second server", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		first.SetA("web.test", 0, fleet(2)...)
		second.SetA("web.test", 0, fleet(1)...)
		s := newSource(t, patient(addrsOf(first, second)...), web)
		next(t, s)
		confirm := func() discovery.Reading {
			r, err := s.Confirm(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := confirm()
		wantStrong(t, r, "10.1.0.0:80")
		if want := "records from " + second.Addr(); r.Note != want {
			t.Errorf("note %q, want %q", r.Note, want)
		}
		second.SetRcode(wire.RcodeServerFailure)
		wantStrong(t, confirm(), "10.1.0.0:80", "10.1.0.1:80") // the first one, over TCP
		first.SetRcode(wire.RcodeServerFailure)
		if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Server {
			t.Errorf("got %v, want an error of class server", err)
		}
	})
	t.Run("asks nobody who never had it", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		first.SetA("web.test", 0, fleet(2)...)
		s := newSource(t, patient(addrsOf(first, second)...), web)
		next(t, s)
		r, err := s.Confirm(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantStrong(t, r, "10.1.0.0:80", "10.1.0.1:80")
	})
	t.Run("asks the only server over TCP", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", 0, fleet(2)...)
		s := newSource(t, patient(server.Addr()), web)
		next(t, s)
		r, err := s.Confirm(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantStrong(t, r, "10.1.0.0:80", "10.1.0.1:80")
		if server.Queries("tcp") != 2 {
			t.Errorf("%d queries over TCP, want 2", server.Queries("tcp"))
		}
	})
	t.Run("while Next blocks", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", time.Hour, fleet(1)...)
		o := patient(server.Addr())
		o.MinRefresh, o.MaxRefresh = time.Hour, time.Hour
		s := newSource(t, o, web)
		next(t, s)
		done := make(chan error, 1)
		go func() {
			defer close(done)
			for { // one more returns at once if a family had not answered by the first
				if _, err := s.Next(t.Context()); err != nil {
					done <- err
					return
				}
			}
		}()
		t.Cleanup(func() { <-done }) // after t.Context is done
		r, err := s.Confirm(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantStrong(t, r, "10.1.0.0:80")
		select {
		case err := <-done:
			t.Errorf("Next returned: %v", err)
		default:
		}
	})
}
