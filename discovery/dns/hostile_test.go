package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/tools/eventually"
)

const (
	right = "x.test. 5 IN A 10.0.0.1"
	evil  = "x.test. 5 IN A 6.6.6.6"
)

// The answers that a name may get in these tests, besides an error's class.
const (
	isRight   = "10.0.0.1:80"
	isTCP     = "the 100 addresses that are served over TCP"
	isNothing = "nothing"
)

// hostile lists what a UDP server, or somebody else, may send in reply to a
// question for the addresses of x.test. The numbers are of the catalogue of
// adversarial cases.
var hostile = []struct {
	name  string
	reply func(q *wire.Msg) [][]byte
	want  string
}{
	{"D1 wrong id, then right", func(q *wire.Msg) [][]byte {
		m := answer(q, evil)
		m.Id ^= 0x5555
		return [][]byte{pack(m), pack(answer(q, right))}
	}, isRight},
	{"D2 another name in question and answer", func(q *wire.Msg) [][]byte {
		m := answer(q, "evil.test. 5 IN A 6.6.6.6")
		m.Question[0].Name = "evil.test."
		return [][]byte{pack(m)}
	}, string(discovery.Transport)},
	{"D2 the query echoed", func(q *wire.Msg) [][]byte { return [][]byte{pack(q)} }, string(discovery.Transport)},
	{"D2 opcode notify", func(q *wire.Msg) [][]byte {
		m := answer(q, evil)
		m.Opcode = wire.OpcodeNotify
		return [][]byte{pack(m)}
	}, string(discovery.Transport)},
	{"D2 no question", func(q *wire.Msg) [][]byte {
		m := answer(q, evil)
		m.Question = nil
		return [][]byte{pack(m)}
	}, string(discovery.Transport)},
	{"D2 header only, no error", func(q *wire.Msg) [][]byte { return [][]byte{headerOnly(q.Id, 12)} }, string(discovery.Transport)},
	{"D2 wrong type in question", func(q *wire.Msg) [][]byte {
		m := answer(q, evil)
		m.Question[0].Qtype = wire.TypeTXT
		return [][]byte{pack(m)}
	}, string(discovery.Transport)},
	{"D3 right question, another owner", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "evil.test. 5 IN A 6.6.6.6"))}
	}, string(discovery.Protocol)},
	{"an address of the other family", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "x.test. 5 IN AAAA 2001:db8::1"))}
	}, isNothing},
	{"D4 three bytes, then right", func(q *wire.Msg) [][]byte {
		return [][]byte{{1, 2, 3}, pack(answer(q, right))}
	}, isRight},
	{"D4 malformed with a wrong id, then right", func(q *wire.Msg) [][]byte {
		b := headerOnly(q.Id^1, 30)
		b[5], b[7] = 1, 3
		for i := 12; i < len(b); i++ {
			b[i] = 0xff
		}
		return [][]byte{b, pack(answer(q, right))}
	}, isRight},
	{"D5 five records said, two sent", func(q *wire.Msg) [][]byte {
		b := pack(answer(q, right, "x.test. 5 IN A 10.0.0.2"))
		binary.BigEndian.PutUint16(b[6:], 5)
		return [][]byte{b}
	}, isTCP},
	{"D6 cut at a record", func(q *wire.Msg) [][]byte {
		m := many(q)
		m.Compress = true
		return [][]byte{pack(m)[:24+16*75]}
	}, isTCP},
	{"D6 cut within a record", func(q *wire.Msg) [][]byte {
		m := many(q)
		m.Compress = true
		return [][]byte{pack(m)[:24+16*75+7]}
	}, isTCP},
	{"D6 larger than asked for, whole", func(q *wire.Msg) [][]byte { return [][]byte{pack(many(q))} }, isTCP},
	{"D7 truncated", func(q *wire.Msg) [][]byte {
		m := answer(q, right)
		m.Truncated = true
		return [][]byte{pack(m)}
	}, isTCP},
	{"D10 compression loop", func(q *wire.Msg) [][]byte {
		b := pack(answer(q, right))
		b[24], b[25] = 0xc0, 24
		return [][]byte{b}
	}, isTCP},
	{"D10 CNAME loop", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "x.test. 60 IN CNAME y.test.", "y.test. 30 IN CNAME x.test."))}
	}, string(discovery.Protocol)},
	{"D10 255 CNAMEs", func(q *wire.Msg) [][]byte {
		m := answer(q, "x.test. 60 IN CNAME c0.test.")
		for i := range 255 {
			m.Answer = append(m.Answer, mustRR(fmt.Sprintf("c%d.test. 60 IN CNAME c%d.test.", i, i+1)))
		}
		m.Answer = append(m.Answer, mustRR("c255.test. 60 IN A 6.6.6.6"))
		m.Compress = true
		return [][]byte{pack(m)}
	}, string(discovery.Protocol)},
	{"CNAMEs in any order", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "y.test. 30 IN CNAME z.test.", "z.test. 7 IN A 10.0.0.1", "x.test. 60 IN CNAME y.test.", "other.test. 1 IN A 6.6.6.6"))}
	}, isRight},
	{"CNAME to nowhere", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "x.test. 30 IN CNAME z.test."))}
	}, isTCP}, // the second opinion
	{"D17 FORMERR to EDNS", func(q *wire.Msg) [][]byte { return [][]byte{plainOnly(q, wire.RcodeFormatError)} }, isRight},
	{"D17 NOTIMP to EDNS", func(q *wire.Msg) [][]byte { return [][]byte{plainOnly(q, wire.RcodeNotImplemented)} }, isRight},
	{"D17 BADVERS to EDNS", func(q *wire.Msg) [][]byte { return [][]byte{plainOnly(q, wire.RcodeBadVers)} }, isRight},
	{"D17 FORMERR always", func(q *wire.Msg) [][]byte {
		m := new(wire.Msg)
		return [][]byte{pack(m.SetRcode(q, wire.RcodeFormatError))}
	}, string(discovery.Config)},
	{"D17 FORMERR to EDNS, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bareToEDNS(q, wire.RcodeFormatError)} }, isRight},
	{"D17 NOTIMP to EDNS, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bareToEDNS(q, wire.RcodeNotImplemented)} }, isRight},
	{"D17 FORMERR to EDNS, a header that promises a question", func(q *wire.Msg) [][]byte {
		b := bareToEDNS(q, wire.RcodeFormatError)
		b[5] = 1
		return [][]byte{b}
	}, isRight},
	{"D17 REFUSED, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bare(q, wire.RcodeRefused)} }, string(discovery.Auth)},
	{"D17 SERVFAIL, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bare(q, wire.RcodeServerFailure)} }, string(discovery.Server)},
	{"D17 FORMERR always, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bare(q, wire.RcodeFormatError)} }, string(discovery.Config)},
	{"D17 REFUSED with a wrong id, then right", func(q *wire.Msg) [][]byte {
		b := bare(q, wire.RcodeRefused)
		b[0] ^= 0x55
		return [][]byte{b, pack(answer(q, right))}
	}, isRight},
	{"D2 NXDOMAIN, a header alone", func(q *wire.Msg) [][]byte { return [][]byte{bare(q, wire.RcodeNameError)} }, string(discovery.Transport)},
	{"D2 REFUSED to another question", func(q *wire.Msg) [][]byte {
		m := new(wire.Msg).SetRcode(q, wire.RcodeRefused)
		m.Question[0].Name = "evil.test."
		return [][]byte{pack(m)}
	}, string(discovery.Transport)},
	{"D30 case changed", func(q *wire.Msg) [][]byte {
		m := answer(q, "X.TEST. 5 IN A 10.0.0.1")
		m.Question[0].Name = "X.tEsT."
		return [][]byte{pack(m)}
	}, isRight},
	{"D11 TTL with the top bit", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "x.test. 4294967295 IN A 10.0.0.1"))}
	}, isRight},
	{"NXDOMAIN with records", func(q *wire.Msg) [][]byte {
		m := answer(q, right)
		m.Rcode = wire.RcodeNameError
		return [][]byte{pack(m)}
	}, string(discovery.Protocol)},
	{"record of another class", func(q *wire.Msg) [][]byte {
		return [][]byte{pack(answer(q, "x.test. 5 CH A 6.6.6.6"))}
	}, string(discovery.Protocol)},
	{"D2 a flood of replies to other questions", func(q *wire.Msg) [][]byte {
		var out [][]byte
		for range maxJunk + 1 {
			out = append(out, headerOnly(q.Id+1, 12))
		}
		return out
	}, isTCP},
	{"unknown rcode", func(q *wire.Msg) [][]byte {
		m := answer(q)
		m.Rcode = 14
		return [][]byte{pack(m)}
	}, string(discovery.Server)},
	{"silence", func(*wire.Msg) [][]byte { return nil }, string(discovery.Transport)},
}

func headerOnly(id uint16, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint16(b, id)
	b[2] = 0x80
	return b
}

// bare is a reply without its question.
func bare(q *wire.Msg, rcode int) []byte {
	b := headerOnly(q.Id, 12)
	b[3] = byte(rcode)
	return b
}

// bareToEDNS answers well if q has no OPT record.
func bareToEDNS(q *wire.Msg, rcode int) []byte {
	if q.IsEdns0() == nil {
		return pack(answer(q, right))
	}
	return bare(q, rcode)
}

func many(q *wire.Msg) *wire.Msg {
	m := answer(q)
	for _, a := range fleet(100) {
		m.Answer = append(m.Answer, mustRR("x.test. 5 IN A "+a.String()))
	}
	return m
}

// plainOnly answers well if q has no OPT record.
func plainOnly(q *wire.Msg, rcode int) []byte {
	if q.IsEdns0() == nil {
		return pack(answer(q, right))
	}
	m := new(wire.Msg)
	m.SetReply(q)
	if rcode > 15 {
		m.SetEdns0(ednsSize, false)
	}
	m.Rcode = rcode
	return pack(m)
}

func overUDP(w wire.ResponseWriter) bool {
	_, ok := w.RemoteAddr().(*net.UDPAddr)
	return ok
}

func TestHostileReplies(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := dnstest.NewServer(t)
			server.SetA("x.test", time.Second, fleet(100)...)
			server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
				if !overUDP(w) {
					return false
				}
				for _, b := range c.reply(q) {
					_, _ = w.Write(b)
				}
				return true
			})
			options := patient(server.Addr())
			if c.want == string(discovery.Transport) {
				options.Timeout = 100 * time.Millisecond
			}
			s := newSource(t, options, Query{Record: "x.test", Type: TypeA, Port: 80})
			if got := resultOf(s.Next(t.Context())); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func resultOf(r discovery.Reading, err error) string {
	switch {
	case err != nil:
		return string(discovery.ClassOf(err))
	case len(r.Endpoints()) == 100:
		return isTCP
	case len(r.Endpoints()) == 0:
		return isNothing
	}
	return strings.Join(texts(r), " ")
}

func TestD7TCPOff(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("x.test", time.Second, fleet(100)...)
	o := patient(server.Addr())
	o.TCP = Never
	s := newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80})
	wantError(t, s, discovery.Protocol) // a truncated answer is no answer
	if n := server.Queries("tcp"); n != 0 {
		t.Errorf("%d queries over TCP", n)
	}
}

func TestD7TruncatedOverTCP(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
		m := answer(q, right)
		m.Truncated = true
		_, _ = w.Write(pack(m))
		return true
	})
	s := newSource(t, patient(server.Addr()), Query{Record: "x.test", Type: TypeA, Port: 80})
	wantError(t, s, discovery.Protocol)
}

func TestNewIDOverTCP(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("x.test", time.Second, fleet(100)...)
	var ids []uint16
	server.SetHook(func(_ wire.ResponseWriter, q *wire.Msg) bool {
		ids = append(ids, q.Id) // one after the other: the second is asked after the answer to the first
		return false
	})
	next(t, newSource(t, patient(server.Addr()), Query{Record: "x.test", Type: TypeA, Port: 80}))
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("ids %v, want two different ones", ids)
	}
}

// TCP that leads nowhere.
func TestD8HostileStreams(t *testing.T) {
	cases := []struct {
		name  string
		speak func(c net.Conn)
		want  discovery.Class
	}{
		{"closed at once", func(net.Conn) {}, discovery.Transport},
		{"length and no more", func(c net.Conn) { _, _ = c.Write([]byte{1, 0}) }, discovery.Transport},
		{"length 0", func(c net.Conn) { _, _ = c.Write([]byte{0, 0}) }, discovery.Protocol},
		{"one byte, then silence", func(c net.Conn) {
			_, _ = c.Write([]byte{1})
			_, _ = io.Copy(io.Discard, c)
		}, discovery.Transport},
		{"HTTP", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, discovery.Transport},
		{"another id", func(c net.Conn) { _, _ = c.Write(append([]byte{0, 12}, headerOnly(0, 12)...)) }, discovery.Protocol},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := quick(stream(t, c.speak))
			o.TCP = Always
			wantError(t, newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80}), c.want)
		})
	}
}

// stream is a TCP server that reads a query and then speaks and closes.
func stream(t *testing.T, speak func(net.Conn)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		query := make([]byte, 2+12)
		if _, err := io.ReadFull(c, query); err == nil {
			speak(c)
		}
	})
}

func TestRefusedPortFailsAtOnce(t *testing.T) {
	server := dnstest.NewServer(t)
	addr := server.Addr()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	o := patient(addr)
	o.Timeout = time.Minute
	begin := time.Now()
	wantError(t, newSource(t, o, Query{Record: "x.test", Port: 80}), discovery.Transport)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestCancelEndsRealQueries(t *testing.T) {
	for _, network := range []string{Never, Always} {
		t.Run("tcp "+network, func(t *testing.T) {
			server := dnstest.NewServer(t)
			server.SetMode(dnstest.Hang)
			o := patient(server.Addr())
			o.TCP, o.Timeout = network, time.Minute
			s := newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80})
			ctx, cancel := context.WithCancel(t.Context())
			errs := make(chan error, 1)
			go func() { _, err := s.Next(ctx); errs <- err }()
			eventually.True(t, "a query arrives", func() bool { return server.Queries("udp")+server.Queries("tcp") > 0 })
			begin := time.Now()
			cancel()
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if took := time.Since(begin); took > 2*time.Second { // milliseconds, on a machine that has them
				t.Errorf("took %v", took)
			}
		})
	}
}
