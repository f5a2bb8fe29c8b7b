package dns

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

func TestActivity(t *testing.T) {
	negative := func(rcode int) script {
		return func(_, _ string, q *wire.Msg) *wire.Msg {
			m := answer(q)
			m.Rcode = rcode
			m.Ns = []wire.RR{mustRR("test. 9 IN SOA ns.test. x.test. 1 1 1 1 9")}
			return m
		}
	}
	cases := []struct {
		name, record     string
		script           script
		question, answer string
		remark           string
	}{
		{"records", "x.test", constant("x.test. 7 IN A 10.0.0.1", "x.test. 7 IN A 10.0.0.2"), "A x.test of 192.0.2.1:53 over udp", "NOERROR, 2 records, TTL 7s", ""},
		{"NODATA", "x.test", negative(wire.RcodeSuccess), "A x.test of 192.0.2.1:53 over udp", "NOERROR, no records, TTL 9s", "A of x.test: none yet: NODATA from " + one},
		{"NXDOMAIN", "x.test", negative(wire.RcodeNameError), "A x.test of 192.0.2.1:53 over udp", "NXDOMAIN, TTL 9s", "A of x.test: none yet: NXDOMAIN twice from " + one},
		{"over TCP", "x.service.consul", constant("x.service.consul. 0 IN A 10.0.0.1"), "A x.service.consul of 192.0.2.1:53 over tcp", "NOERROR, 1 record, TTL 0s", ""},
		{"an error", "x.test", negative(wire.RcodeRefused), "A x.test of 192.0.2.1:53 over udp", "auth: 192.0.2.1:53: x.test.: REFUSED", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, Options{Servers: []string{one}}, Query{Record: c.record, Type: TypeA, Port: 80})
				s.client.exchange = c.script.exchange
				begin := time.Now()
				_, err := s.Next(t.Context())
				a := discovery.ActivityOf(s)
				if a.Question != c.question || a.Answer != c.answer || strings.Join(a.Remarks, "") != c.remark {
					t.Errorf("got %+v", a)
				}
				if !a.Asked.Equal(begin) || !a.Answered.Equal(begin) || a.Next.IsZero() != (err != nil) || !a.Next.IsZero() && a.Next != s.due {
					t.Errorf("asked %v, answered %v, next %v", a.Asked, a.Answered, a.Next)
				}
			})
		})
	}
}

func TestActivityWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, Options{Servers: []string{one, two}}, srv)
		s.client.exchange = script(func(_, server string, q *wire.Msg) *wire.Msg {
			if server == one {
				return nil
			}
			if q.Question[0].Qtype != wire.TypeSRV {
				return answer(q)
			}
			m := answer(q, srvName+". 5 IN SRV 1 1 80 a.test.")
			m.Extra = []wire.RR{mustRR("a.test. 5 IN A 10.0.0.1")}
			return m
		}).exchange
		done := make(chan discovery.Reading)
		go func() { done <- next(t, s) }()
		time.Sleep(time.Second)
		if got, want := s.Activity(), "SRV _web._tcp.test of 192.0.2.1:53 over udp"; got.Question != want || !got.Next.IsZero() || got.Answer != "" {
			t.Errorf("while it asks: %+v, want %s", got, want)
		}
		wantAddrs(t, <-done, "10.0.0.1:80")
		if got, want := s.Activity().Question, "SRV _web._tcp.test of 192.0.2.2:53 over udp"; got != want {
			t.Errorf("then: %s, want %s", got, want)
		}
	})
}

func TestRemarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, constant("x.test. 5 IN A 10.0.0.1"), one)
		for range maxFails {
			s.client.servers.failed(two, time.Now())
		}
		s.client.servers.setLacksEDNS(one)
		s.client.preferTCP.set("x.test.", "false answers came over UDP", time.Minute)
		want := []string{
			one + " is asked without EDNS until ", two + " is asked last until ", "asked over TCP until ",
		}
		got := s.Activity().Remarks
		if len(got) != len(want) || slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
		}) {
			t.Errorf("got %q", got)
		}
		time.Sleep(2 * time.Hour)
		if got := s.Activity().Remarks; len(got) != 0 {
			t.Errorf("when it is over: %q", got)
		}
	})
}

// The first wait is shorter by a part that differs between sources.
func TestStartIsSpread(t *testing.T) {
	c, err := NewClient(Options{Servers: []string{one}})
	must(t, err)
	var most, least time.Duration = 0, time.Hour
	for range 200 {
		s, err := c.Source(web)
		must(t, err)
		d := s.wait(30 * time.Second)
		most, least = max(most, d), min(least, d)
		if d := s.wait(30 * time.Second); d < 27*time.Second || d > 33*time.Second {
			t.Errorf("the second wait is %v", d)
		}
	}
	if least < 22*time.Second || most > 33*time.Second || most-least < 5*time.Second {
		t.Errorf("from %v to %v", least, most)
	}
}
