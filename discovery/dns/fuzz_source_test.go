package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// goodZone is what is true until something strange is answered.
func goodZone() *world {
	w := newWorld(one)
	w.put("A x.test", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, one)
	w.put("SRV _x._tcp.test", []string{"10 5 80 a.test.", "10 5 81 b.test."}, one)
	w.put("A a.test", []string{"10.0.0.1", "10.0.0.2"}, one)
	w.put("A b.test", []string{"10.0.0.3"}, one)
	return w
}

// FuzzSource has a source that knows endpoints be answered whatever it asks by one message.
// None of them is gone unless that is an answer to one of the questions, and lacks it.
func FuzzSource(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b, false, true)
		f.Add(b, true, true)
	}
	three := answer(newQuery("x.test.", wire.TypeA, true), "x.test. 5 IN A 10.0.0.1", "x.test. 5 IN A 10.0.0.2")
	f.Add(pack(three), false, true)
	f.Add(pack(three), false, false)
	for _, rcode := range []int{wire.RcodeNameError, wire.RcodeServerFailure, wire.RcodeSuccess} {
		for _, q := range []*wire.Msg{newQuery("x.test.", wire.TypeA, true), newQuery("_x._tcp.test.", wire.TypeSRV, true), newQuery("a.test.", wire.TypeA, true)} {
			m := (&origin{}).none(q, rcode)
			f.Add(pack(m), q.Question[0].Name != "x.test.", true)
		}
	}
	f.Fuzz(func(t *testing.T, message []byte, service, numbered bool) {
		if len(message) > wire.MaxMsgSize-1 {
			return
		}
		synctest.Test(t, func(t *testing.T) { answerWith(t, message, service, numbered) })
	})
}

// answerWith has the message be the answer to all questions, under their numbers if
// numbered.
func answerWith(t *testing.T, message []byte, service, numbered bool) {
	q := Query{Record: "x.test", Type: TypeA, Port: 80}
	if service {
		q = Query{Record: "_x._tcp.test", Family: discovery.OnlyV4}
	}
	w := goodZone()
	s := w.source(t, q, one)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	k := discoverytest.Keeper{}
	var before []string
	for range 2 {
		r, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before = k.Take(r)
	}
	if len(before) != 3 {
		t.Fatalf("before: %v", before)
	}
	canned := cannedReply(message)
	s.client.exchange = func(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
		if !numbered {
			return receive(&wire.Conn{Conn: cannedConn(message)}, network, server, q)
		}
		return canned(ctx, network, server, q)
	}
	hear := func(r discovery.Reading, err error) {
		if err != nil {
			if len(r.Parts) > 0 {
				t.Fatalf("%v with %v", err, r)
			}
			return
		}
		checkReading(t, r)
		now := k.Take(r)
		for _, a := range before {
			if !slices.Contains(now, a) && !mayLack(message, service, netip.MustParseAddrPort(a)) {
				t.Fatalf("%s is gone: %+v", a, r)
			}
		}
		if len(now) > discovery.MaxEndpoints {
			t.Fatalf("%d endpoints", len(now))
		}
	}
	for range 3 {
		hear(s.Next(ctx))
		time.Sleep(time.Second)
	}
	hear(s.Confirm(ctx))
}

func cannedConn(message []byte) canned {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
	return canned{r: bytes.NewReader(append(b, message...))}
}

// mayLack says, of the wire alone, whether the message may be an answer by which an endpoint
// is gone.
func mayLack(message []byte, service bool, a netip.AddrPort) bool {
	var m wire.Msg
	if m.Unpack(message) != nil || !m.Response || m.Truncated || len(m.Question) != 1 || m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return false
	}
	q := m.Question[0]
	name := strings.ToLower(q.Name)
	asked := map[string]uint16{"x.test.": wire.TypeA}
	if service {
		asked = map[string]uint16{"_x._tcp.test.": wire.TypeSRV, "a.test.": wire.TypeA, "b.test.": wire.TypeA}
	}
	if asked[name] != q.Qtype || q.Qclass != wire.ClassINET {
		return false
	}
	owner := map[uint16]string{80: "a.test.", 81: "b.test."}[a.Port()]
	for _, rr := range m.Answer {
		h := rr.Header()
		switch rr := rr.(type) {
		case *wire.A:
			if strings.EqualFold(h.Name, name) && h.Class == wire.ClassINET && rr.A.String() == a.Addr().String() {
				return false
			}
		case *wire.SRV:
			// whoever has come into another priority has given way to the better ones
			if strings.EqualFold(h.Name, name) && h.Class == wire.ClassINET && strings.EqualFold(rr.Target, owner) && rr.Port == a.Port() && lowest(&m, rr.Priority) && len(m.Extra) == 0 {
				return false
			}
		}
	}
	return len(m.Answer) > 0 || m.Rcode == wire.RcodeNameError || len(m.Ns) > 0 || m.Authoritative
}

// lowest reports whether no SRV record of the message has a better priority.
func lowest(m *wire.Msg, priority uint16) bool {
	return !slices.ContainsFunc(m.Answer, func(rr wire.RR) bool {
		s, ok := rr.(*wire.SRV)
		return ok && s.Priority < priority
	})
}
