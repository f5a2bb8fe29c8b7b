package dns

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const (
	ednsSize = 1232  // what is advertised (RFC 9715): fits one unfragmented datagram
	readSize = 65535 // what is read whatever was advertised, so that the kernel never cuts a datagram
	maxJunk  = 8     // datagrams of others in one exchange before TCP is the better idea
)

var (
	errJunk     = errors.New("too many replies to other questions")
	errMismatch = errors.New("the reply is for another question")
	errCounts   = errors.New("the reply has fewer records than it says")
	errClosed   = errors.New("connection closed before the answer")
)

// An exchanger sends q to server over "udp" or "tcp" and returns a whole reply
// to q, which may say that it was truncated. Its errors are of class
// [discovery.Transport] or [discovery.Protocol]. It returns when ctx is done.
type exchanger func(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error)

// receive reads until the reply to q is there. On UDP it passes over what is
// not: anybody can send a datagram.
func receive(conn *wire.Conn, network, server string, q *wire.Msg) (*wire.Msg, error) {
	for range maxJunk {
		var h wire.Header
		p, err := conn.ReadMsgHeader(&h)
		if runt := errors.Is(err, wire.ErrShortRead); err != nil && !runt {
			return nil, transportError(server, err)
		}
		m, mine, err := decode(p, h, q)
		switch {
		case mine && err == nil:
			return m, nil
		case mine || network == "tcp":
			return nil, discovery.Errorf(discovery.Protocol, "%s: %w", server, err)
		}
	}
	return nil, discovery.Errorf(discovery.Protocol, "%s: %w", server, errJunk)
}

// decode unpacks p, whose header is h. It is mine if it answers q; then the
// error says why it cannot be used.
func decode(p []byte, h wire.Header, q *wire.Msg) (m *wire.Msg, mine bool, err error) {
	if len(p) == 0 || h.Id != q.Id {
		return nil, false, errMismatch
	}
	m = new(wire.Msg)
	err = m.Unpack(p)
	switch {
	case err == nil && isBare(m):
		return m, true, nil
	case !answers(q, m):
		return nil, false, errMismatch
	case err != nil:
		return nil, true, err
	case int(h.Ancount) != len(m.Answer), int(h.Nscount) != len(m.Ns), int(h.Arcount) != len(m.Extra):
		return nil, true, errCounts
	}
	return m, true, nil
}

// isBare says whether m is an error without the question that it is about, as some
// servers send it to what they do not understand or do not want.
func isBare(m *wire.Msg) bool {
	isError := m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError
	return m.Response && m.Opcode == wire.OpcodeQuery && isError && len(m.Question)+len(m.Answer)+len(m.Ns)+len(m.Extra) == 0
}

// answers says whether m is a reply to the question of q. The library compares
// nothing but the id.
func answers(q, m *wire.Msg) bool {
	if !m.Response || m.Opcode != wire.OpcodeQuery || len(m.Question) != 1 {
		return false
	}
	a, b := q.Question[0], m.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// transportError names the server and the cause, but not the local port: equal
// troubles have equal texts.
func transportError(server string, err error) error {
	var t net.Error
	switch op, ok := errors.AsType[*net.OpError](err); {
	case errors.As(err, &t) && t.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return discovery.Errorf(discovery.Transport, "%s: no answer in time", server)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return discovery.Errorf(discovery.Transport, "%s: %w", server, errClosed)
	case ok:
		err = op.Err
	}
	return discovery.Errorf(discovery.Transport, "%s: %w", server, err)
}

func newQuery(name string, qtype uint16, edns bool) *wire.Msg {
	q := new(wire.Msg)
	q.SetQuestion(name, qtype)
	if edns {
		q.SetEdns0(ednsSize, false)
	}
	return q
}

// rejectsEDNS says whether a server may have answered so only because the query
// had an OPT record (RFC 6891 7).
func rejectsEDNS(m *wire.Msg) bool {
	switch m.Rcode {
	case wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeBadVers:
		return true
	}
	return false
}
