package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

var web = Query{Record: "web.test", Port: 80}

func TestAddresses(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.test", time.Second, dnstest.Addrs("10.0.0.2", "2001:db8::1", "10.0.0.1")...)
	cases := map[string][]string{
		"":       {"10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80"},
		TypeA:    {"10.0.0.1:80", "10.0.0.2:80"},
		TypeAAAA: {"[2001:db8::1]:80"},
	}
	for kind, want := range cases {
		t.Run("type "+kind, func(t *testing.T) {
			s := newSource(t, patient(server.Addr()), Query{Record: "web.test", Type: kind, Port: 80})
			r := next(t, s)
			wantStrong(t, r, want...)
			if want := "records from " + server.Addr(); r.Note != want {
				t.Errorf("note %q, want %q", r.Note, want)
			}
		})
	}
}

func TestD22ConsulNamesGoOverTCP(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetMode(dnstest.Cut)
	server.SetA("web.service.consul", 0, fleet(60)...)
	r := next(t, newSource(t, patient(server.Addr()), Query{Record: "web.service.CONSUL.", Port: 80}))
	if len(r.Endpoints()) != 60 || server.Queries("udp") != 0 {
		t.Errorf("got %d endpoints with %d queries over UDP, want 60 with none", len(r.Endpoints()), server.Queries("udp"))
	}
}

func TestOneServerThatErrs(t *testing.T) {
	cases := []struct {
		name string
		trip func(s *dnstest.Server)
		want discovery.Class
	}{
		{"D15 SERVFAIL", func(s *dnstest.Server) { s.SetRcode(wire.RcodeServerFailure) }, discovery.Server},
		{"NOTAUTH", func(s *dnstest.Server) { s.SetRcode(wire.RcodeNotAuth) }, discovery.Server},
		{"D17 REFUSED", func(s *dnstest.Server) { s.SetRcode(wire.RcodeRefused) }, discovery.Auth},
		{"D17 FORMERR", func(s *dnstest.Server) { s.SetRcode(wire.RcodeFormatError) }, discovery.Config},
		{"D16 silence", func(s *dnstest.Server) { s.SetMode(dnstest.Hang) }, discovery.Transport},
		{"garbage", func(s *dnstest.Server) { s.SetMode(dnstest.Garbage) }, discovery.Transport},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := dnstest.NewServer(t)
			server.SetA("web.test", 0, fleet(2)...)
			s := newSource(t, patient(server.Addr()), web)
			wantStrong(t, next(t, s), "10.1.0.0:80", "10.1.0.1:80")
			s.client.options.Timeout = 100 * time.Millisecond
			c.trip(server)
			for range 2 {
				wantError(t, s, c.want)
			}
			s.client.options.Timeout = 3 * time.Second
			server.SetMode(dnstest.Answer)
			server.SetRcode(wire.RcodeSuccess)
			wantStrong(t, next(t, s), "10.1.0.0:80", "10.1.0.1:80")
		})
	}
}

func TestNextServerIsAskedAndKept(t *testing.T) {
	for name, trip := range map[string]func(s *dnstest.Server){
		"SERVFAIL": func(s *dnstest.Server) { s.SetRcode(wire.RcodeServerFailure) },
		"REFUSED":  func(s *dnstest.Server) { s.SetRcode(wire.RcodeRefused) },
		"gone":     func(s *dnstest.Server) { _ = s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := dnstest.NewServer(t), dnstest.NewServer(t)
			second.SetA("web.test", 0, fleet(1)...)
			trip(first)
			s := newSource(t, patient(addrsOf(first, second)...), web)
			wantStrong(t, next(t, s), "10.1.0.0:80")
			asked := first.Queries("udp")
			wantStrong(t, next(t, s), "10.1.0.0:80")
			if got := first.Queries("udp"); got != asked {
				t.Errorf("the server that failed was asked %d times more", got-asked)
			}
		})
	}
}

func TestMostTellingError(t *testing.T) {
	first, second := dnstest.NewServer(t), dnstest.NewServer(t)
	first.SetRcode(wire.RcodeRefused)
	_ = second.Close()
	wantError(t, newSource(t, patient(addrsOf(first, second)...), web), discovery.Auth)
}

// TestEmpty is about answers that there is nothing.
func TestEmpty(t *testing.T) {
	t.Run("D12 NXDOMAIN once", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", 0, fleet(1)...)
		server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
			if !overUDP(w) {
				return false
			}
			m := new(wire.Msg)
			_ = w.WriteMsg(m.SetRcode(q, wire.RcodeNameError))
			return true
		})
		wantStrong(t, next(t, newSource(t, patient(server.Addr()), web)), "10.1.0.0:80")
	})
	t.Run("D13 NXDOMAIN from one server, records from the other", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		second.SetA("web.test", 0, fleet(1)...)
		wantStrong(t, next(t, newSource(t, patient(addrsOf(first, second)...), web)), "10.1.0.0:80")
	})
	t.Run("D14 NXDOMAIN from all", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		first.SetA("web.test", 0, fleet(1)...)
		second.SetA("web.test", 0, fleet(1)...)
		s := newSource(t, patient(addrsOf(first, second)...), web)
		wantStrong(t, next(t, s), "10.1.0.0:80")
		first.Remove("web.test")
		second.Remove("web.test")
		r := next(t, s)
		wantPart(t, r, "A of web.test", discovery.Whole, "")
		if want := "NXDOMAIN from 2 servers"; r.Note != want {
			t.Errorf("note %q, want %q", r.Note, want)
		}
	})
	t.Run("NODATA from the only server", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", 0, fleet(1)...)
		s := newSource(t, patient(server.Addr()), Query{Record: "web.test", Type: TypeA, Port: 80})
		wantStrong(t, next(t, s), "10.1.0.0:80")
		server.SetA("web.test", 0)
		r := next(t, s)
		wantPart(t, r, "A of web.test", discovery.Whole, "")
		if want := "NODATA twice from " + server.Addr(); r.Note != want {
			t.Errorf("note %q, want %q", r.Note, want)
		}
		if server.Queries("tcp") == 0 {
			t.Error("not asked over TCP")
		}
	})
	t.Run("two words for nothing, of servers that never had it", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		second.SetA("web.test", 0)
		r := next(t, newSource(t, patient(addrsOf(first, second)...), web))
		wantPart(t, r, "A of web.test", discovery.Partial, "none yet: NXDOMAIN from "+first.Addr()+", NODATA from "+second.Addr())
	})
	t.Run("no second opinion", func(t *testing.T) {
		first, second := dnstest.NewServer(t), dnstest.NewServer(t)
		second.SetRcode(wire.RcodeServerFailure)
		r := next(t, newSource(t, patient(addrsOf(first, second)...), web))
		wantPart(t, r, "A of web.test", discovery.Partial, "none yet: NXDOMAIN twice from "+first.Addr()+"; server: "+second.Addr())
	})
	t.Run("NODATA without proof", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", 0, fleet(1)...)
		s := newSource(t, patient(server.Addr()), web)
		next(t, s)
		server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
			_ = w.WriteMsg(answer(q))
			return true
		})
		wantPart(t, next(t, s), "A of web.test", discovery.Partial, "without an SOA record")
	})
	t.Run("TCP off, UDP twice", func(t *testing.T) {
		server := dnstest.NewServer(t)
		server.SetA("web.test", 0, fleet(1)...)
		o := patient(server.Addr())
		o.TCP = Never
		s := newSource(t, o, Query{Record: "web.test", Type: TypeA, Port: 80})
		next(t, s)
		server.Remove("web.test")
		wantStrong(t, next(t, s))
		if n := server.Queries("udp"); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
	})
}

// TestFamilies is about what one address family's trouble does.
func TestFamilies(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.test", 0, dnstest.Addrs("10.0.0.1", "2001:db8::1")...)
	s := newSource(t, patient(server.Addr()), web)
	wantStrong(t, next(t, s), "10.0.0.1:80", "[2001:db8::1]:80")

	t.Run("D18 A answers, AAAA fails", func(t *testing.T) {
		server.SetHook(failing(wire.TypeAAAA, wire.RcodeServerFailure))
		server.SetA("web.test", 0, dnstest.Addrs("10.0.0.2")...)
		r := next(t, s)
		wantPart(t, r, "A of web.test", discovery.Whole, "", "10.0.0.2:80")
		wantPart(t, r, "AAAA of web.test", discovery.Unknown, "SERVFAIL")
	})

	server.SetHook(failing(wire.TypeA, wire.RcodeServerFailure))
	s.calm() // it is not about recovery
	r := next(t, s)
	wantPart(t, r, "A of web.test", discovery.Unknown, "SERVFAIL")
	wantPart(t, r, "AAAA of web.test", discovery.Whole, "") // it had some, and says that they are gone
	s.calm()

	t.Run("D19 A answers, AAAA is NXDOMAIN", func(t *testing.T) {
		server.SetHook(failing(wire.TypeAAAA, wire.RcodeNameError))
		wantStrong(t, next(t, s), "10.0.0.2:80")
	})

	server.SetHook(failing(wire.TypeAAAA, wire.RcodeServerFailure))
	for _, s := range []*Source{s, newSource(t, patient(server.Addr()), web)} {
		r := next(t, s)
		wantPart(t, r, "A of web.test", discovery.Whole, "", "10.0.0.2:80")
		wantPart(t, r, "AAAA of web.test", discovery.Unknown, "SERVFAIL")
	}
}

// failing answers questions of one type with rcode.
func failing(qtype uint16, rcode int) func(wire.ResponseWriter, *wire.Msg) bool {
	return func(w wire.ResponseWriter, q *wire.Msg) bool {
		if q.Question[0].Qtype != qtype {
			return false
		}
		m := new(wire.Msg)
		_ = w.WriteMsg(m.SetRcode(q, rcode))
		return true
	}
}

// TestRemovalsNeedTwoAnswers is about what one answer lacks.
func TestRemovalsNeedTwoAnswers(t *testing.T) {
	old, both := dnstest.Addrs("10.0.0.1"), dnstest.Addrs("10.0.0.1", "10.0.0.2")
	setup := func(t *testing.T) (first, second *dnstest.Server, s *Source) {
		first, second = dnstest.NewServer(t), dnstest.NewServer(t)
		first.SetA("web.test", 0, both...)
		second.SetA("web.test", 0, both...)
		s = newSource(t, patient(addrsOf(first, second)...), web)
		wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
		return first, second, s
	}
	t.Run("D21 one server lacks it", func(t *testing.T) {
		first, _, s := setup(t)
		first.SetA("web.test", 0, old...)
		for range 3 {
			wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
		}
	})
	t.Run("D21 both lack it", func(t *testing.T) {
		first, second, s := setup(t)
		first.SetA("web.test", 0, old...)
		second.SetA("web.test", 0, old...)
		wantStrong(t, next(t, s), "10.0.0.1:80")
	})
	t.Run("nobody answers twice", func(t *testing.T) {
		first, second, s := setup(t)
		first.SetA("web.test", 0, old...)
		first.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
			if overUDP(w) {
				return false
			}
			m := new(wire.Msg)
			_ = w.WriteMsg(m.SetRcode(q, wire.RcodeServerFailure))
			return true
		})
		second.SetRcode(wire.RcodeServerFailure)
		for range 2 {
			wantPart(t, next(t, s), "A of web.test", discovery.Partial, "no second answer: ", "10.0.0.1:80")
			s.client.servers.succeeded(first.Addr()) // it is not dead
			s.client.servers.succeeded(second.Addr())
		}
		first.Remove("web.test")
		wantPart(t, next(t, s), "A of web.test", discovery.Partial, "no second answer: ")
		s.client.servers.succeeded(first.Addr())
		s.client.servers.succeeded(second.Addr())
		second.SetRcode(wire.RcodeSuccess)
		second.SetA("web.test", 0, old...)
		wantStrong(t, next(t, s), "10.0.0.1:80")
	})
	t.Run("additions need one answer", func(t *testing.T) {
		first, second, s := setup(t)
		first.SetA("web.test", 0, append(both, dnstest.Addrs("10.0.0.3")...)...)
		asked := second.Queries("udp")
		wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		if second.Queries("udp") != asked {
			t.Error("the second server was asked")
		}
	})
	t.Run("a weak answer makes nothing forgotten", func(t *testing.T) {
		first, second, s := setup(t)
		for _, server := range []*dnstest.Server{first, second} {
			server.SetA("web.test", 0, dnstest.Addrs("169.254.1.1")...)
		}
		wantWeak(t, next(t, s))
		first.SetA("web.test", 0, old...)
		second.SetA("web.test", 0, both...)
		wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80")
	})
}

func TestD34RefusedAddresses(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.test", 0, dnstest.Addrs("127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "::ffff:169.254.1.1", "fd00:ec2::254", "10.0.0.1")...)
	r := next(t, newSource(t, patient(server.Addr()), web))
	wantPart(t, r, "A of web.test", discovery.Whole, "", "10.0.0.1:80", "127.0.0.1:80")
	wantPart(t, r, "AAAA of web.test", discovery.Partial, "every record was refused")
	var got []string
	for _, j := range r.Rejected {
		got = append(got, j.Reason+" "+j.Value)
	}
	slices.Sort(got)
	want := []string{
		"link_local 169.254.1.1:80", "link_local 169.254.169.254:80", "metadata [fd00:ec2::254]:80",
		"multicast 224.0.0.1:80", "unspecified 0.0.0.0:80",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	server.SetA("web.test", 0, dnstest.Addrs("0.0.0.0")...)
	wantWeak(t, next(t, newSource(t, patient(server.Addr()), web)))
}

func TestD31DuplicateRecords(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.test", 0, dnstest.Addrs("10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1")...)
	wantStrong(t, next(t, newSource(t, patient(server.Addr()), web)), "10.0.0.1:80")
}

func TestD30OrderAndCaseMeanNothing(t *testing.T) {
	server := dnstest.NewServer(t)
	s := newSource(t, patient(server.Addr()), Query{Record: "_web._tcp.test"})
	var first discovery.Reading
	for i := range 20 {
		var targets []dnstest.Target
		for j := range 20 {
			name := fmt.Sprintf("node%d.test", j)
			if (i+j)%2 == 0 {
				name = strings.ToUpper(name)
			}
			targets = append(targets, dnstest.Target{Name: name, Port: 80, Addrs: fleet(20)[j : j+1]})
		}
		server.SetSRV("_web._tcp.test", 0, targets...)
		r := next(t, s)
		if i == 0 {
			first = r
		}
		if d := cmp.Diff(first.Endpoints(), r.Endpoints(), cmp.Comparer(func(a, b discovery.Endpoint) bool { return a == b })); d != "" {
			t.Fatal(d)
		}
	}
}
