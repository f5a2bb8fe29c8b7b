package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// A peer is who is at the other end of a connection, as far as the system says so.
type peer struct {
	// uid is the user's number, -1 if it is not known: of who opened a unix socket, and
	// over loopback TCP of whose the other socket is.
	uid int
	// addr is where a TCP connection comes from.
	addr netip.Addr
}

// nobodyKnown is a peer of whom nothing is known.
func nobodyKnown() peer { return peer{uid: -1} }

// key is what the connections of one user, or of one machine, have in common. Who has an
// IPv6 address mostly has all of its /64.
func (p peer) key() string {
	switch {
	case p.uid >= 0:
		return "uid " + strconv.Itoa(p.uid)
	case p.addr.Is6():
		net64, _ := p.addr.Prefix(64) // 64 is within every IPv6 address
		return net64.String()
	}
	return p.addr.String()
}

// user is the name of the user, "uid 1000" for one without a name, and "" if it is not
// known who that is.
func (p peer) user() string {
	if p.uid < 0 {
		return ""
	}
	if u, err := user.LookupId(strconv.Itoa(p.uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(p.uid)
}

// peerKey is where a connection's context carries the peer.
type peerKey struct{}

// peerOf is who sends r, as far as the system says so.
func peerOf(r *http.Request) peer {
	if c, ok := r.Context().Value(peerKey{}).(*placed); ok {
		return c.peer
	}
	return nobodyKnown()
}

// withPeer notes in the context of a connection who is at its other end.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*placed); ok {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

// askPeer has the system say who is at the other end of c.
func askPeer(c net.Conn) peer {
	p := nobodyKnown()
	switch c := c.(type) {
	case *net.UnixConn:
		p.uid = unixPeer(c)
	case *net.TCPConn:
		remote, local := addrOf(c.RemoteAddr()), addrOf(c.LocalAddr())
		p.addr = remote.Addr()
		// what else a machine can be reached at from itself is loopback too
		if remote.Addr() == local.Addr() || remote.Addr().IsLoopback() {
			p.uid = socketOwner(remote, local)
		}
	}
	return p
}

func addrOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
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
