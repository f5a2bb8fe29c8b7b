package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A canned connection delivers bytes and swallows what is written.
type canned struct {
	net.Conn // nil: nothing else is called
	r        *bytes.Reader
}

func (c canned) Read(p []byte) (int, error) { return c.r.Read(p) }

// cannedReply exchanges like a TCP server that answers every question with
// message, under the right id.
func cannedReply(message []byte) exchanger {
	return func(_ context.Context, _, server string, q *wire.Msg) (*wire.Msg, error) {
		b := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
		b = append(b, message...)
		if len(message) >= 2 {
			binary.BigEndian.PutUint16(b[2:], q.Id)
		}
		return receive(&wire.Conn{Conn: canned{r: bytes.NewReader(b)}}, "tcp", server, q)
	}
}

func seeds() [][]byte {
	a, s := newQuery("x.test.", wire.TypeA, true), newQuery("_x._tcp.test.", wire.TypeSRV, true)
	none := answer(a)
	none.Ns = append(none.Ns, mustRR("test. 5 IN SOA ns.test. x.test. 1 1 1 1 1"))
	glue := answer(s, "_x._tcp.test. 5 IN SRV 10 5 80 a.test.", "_x._tcp.test. 5 IN SRV 20 0 81 b.test.")
	glue.Extra = append(glue.Extra, mustRR("a.test. 5 IN A 10.0.0.1"), mustRR("b.test. 5 IN AAAA 2001:db8::1"))
	refused := answer(a)
	refused.Rcode = wire.RcodeRefused
	return [][]byte{
		nil, headerOnly(0, 12), pack(none), pack(glue), pack(refused), pack(many(a)),
		pack(answer(a, "x.test. 5 IN CNAME y.test.", "y.test. 5 IN A 10.0.0.1", "x.test. 4294967295 IN A 0.0.0.0")),
		pack(answer(s, "_x._tcp.test. 5 IN SRV 0 0 0 .")),
		pack(answer(s, "_x._tcp.test. 5 IN SRV 1 1 80 a.test.")),
	}
}

// FuzzReply gives whatever bytes to the whole way from a message to a reading.
func FuzzReply(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	queries := []Query{{Record: "x.test", Type: TypeA, Port: 80}, {Record: "_x._tcp.test"}}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > wire.MaxMsgSize-1 {
			return
		}
		for _, q := range queries {
			s := newSource(t, Options{Servers: []string{one}, Timeout: time.Minute}, q)
			s.client.exchange = cannedReply(message)
			r, err := s.Next(t.Context())
			if err != nil {
				if len(r.Parts) > 0 || discovery.ClassOf(err) == discovery.Transport && len(message) >= 12 {
					t.Fatalf("%v with %v", err, r.Parts)
				}
				continue
			}
			checkReading(t, r)
		}
	})
}

func checkReading(t *testing.T, r discovery.Reading) {
	for _, p := range r.Parts {
		if !sortedByAddr(p.Endpoints) || len(discovery.Normalize(p.Endpoints)) != len(p.Endpoints) {
			t.Errorf("not normalized: %v", p.Endpoints)
		}
		if p.State == discovery.Unknown && (p.Err == nil || len(p.Endpoints) > 0) || p.State != discovery.Unknown && p.Err != nil {
			t.Errorf("part %+v", p)
		}
		if p.Name == "" || discovery.Printable(p.Name, 300) != p.Name || (p.State == discovery.Partial) != (p.Why != "") {
			t.Errorf("part %+v", p)
		}
	}
	if len(r.Endpoints()) == 0 && len(r.Rejected) > 0 && r.Whole() {
		t.Errorf("every record refused, and whole: %v", r)
	}
	for _, e := range r.Endpoints() {
		if discovery.Check(e.Addr) != "" || e.Weight < 0 || discovery.Printable(e.Name, 255) != e.Name {
			t.Errorf("endpoint %+v", e)
		}
	}
	for _, j := range r.Rejected {
		if j.Reason == "" || len([]rune(j.Name)) > 101 || len([]rune(j.Value)) > 101 {
			t.Errorf("rejection %+v", j)
		}
	}
}
