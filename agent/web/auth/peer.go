package auth

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/agent/owner"
)

// A Peer is who is at the other end of a connection, as far as the system says so.
type Peer struct {
	// UID is the user's number, -1 if it is not known: of who opened a unix socket, and
	// over loopback TCP of whose the other socket is.
	UID int
	// Addr is where a TCP connection comes from.
	Addr netip.Addr
}

// nobodyKnown is a peer of whom nothing is known.
func nobodyKnown() Peer { return Peer{UID: -1} }

// Key is what the connections of one user, or of one machine, have in common. Who has an
// IPv6 address mostly has all of its /64.
func (p Peer) Key() string {
	switch {
	case p.UID >= 0:
		return "uid " + strconv.Itoa(p.UID)
	case p.Addr.Is6():
		net64, _ := p.Addr.Prefix(64) // 64 is within every IPv6 address
		return net64.String()
	}
	return p.Addr.String()
}

// User is the name of the user, "uid 1000" for one without a name, and "" if it is not
// known who that is.
func (p Peer) User() string {
	return owner.Name(p.UID)
}

// peerKey is where a connection's context carries the peer.
type peerKey struct{}

// PeerOf is who sends r, as far as the system says so.
func PeerOf(r *http.Request) Peer {
	if p, ok := r.Context().Value(peerKey{}).(Peer); ok {
		return p
	}
	return nobodyKnown()
}

// WithPeer notes in the context of a connection who is at its other end.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// AskPeer has the system say who is at the other end of c.
func AskPeer(c net.Conn) Peer {
	p := nobodyKnown()
	switch c := c.(type) {
	case *net.UnixConn:
		p.UID = unixPeer(c)
	case *net.TCPConn:
		local, remote, here := owner.Local(c)
		p.Addr = remote.Addr()
		if here {
			p.UID = owner.Connected(remote, local)
		}
	}
	return p
}

// unixPeer is the user who connected (unix(7), SO_PEERCRED), -1 if that cannot be asked.
func unixPeer(c *net.UnixConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return -1
	}
	return uid
}
