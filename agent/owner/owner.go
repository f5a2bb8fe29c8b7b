// Package owner asks Linux whose a TCP socket of this machine is (sock_diag(7)).
package owner

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	diagByFamily   = 20 // SOCK_DIAG_BY_FAMILY
	diagRequest    = 56 // struct inet_diag_req_v2
	diagState      = 1  // offsets in struct inet_diag_msg
	diagUID        = 64
	diagAnswer     = 72
	tcpEstablished = 1
	tcpListen      = 10
)

// Unknown is what stands for a user who is not known.
const Unknown = -1

// Name is the name of a user, "uid 1000" for one without a name, and "" for [Unknown].
func Name(uid int) string {
	if uid < 0 {
		return ""
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}

// Local is the two ends of c if both are on this machine.
func Local(c net.Conn) (local, remote netip.AddrPort, ok bool) {
	local, remote = addrOf(c.LocalAddr()), addrOf(c.RemoteAddr())
	// what else a machine can be reached at from itself is loopback too
	return local, remote, remote.Addr() == local.Addr() || remote.Addr().IsLoopback()
}

func addrOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// Connected is the user of the TCP socket at local that is connected to remote, [Unknown] if
// it is not known. Of one that its program has closed nobody is known to be the owner:
// the kernel would say 0, as it does of one that no program has accepted.
func Connected(local, remote netip.AddrPort) int { return ask(local, remote, tcpEstablished) }

// Listening is the user of the TCP socket that takes connections at an address, [Unknown] if
// it is not known.
func Listening(at netip.AddrPort) int {
	nobody := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		nobody = netip.IPv6Unspecified()
	}
	return ask(at, netip.AddrPortFrom(nobody, 0), tcpListen)
}

// ask is the user of the socket at local, to remote, in a state.
func ask(local, remote netip.AddrPort, state int) int {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return Unknown
	}
	defer unix.Close(fd)
	// The kernel has answered when Sendto returns.
	if err := unix.Sendto(fd, diagQuestion(local, remote, state), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Unknown
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return Unknown
	}
	return diagOwner(answer[:n], state)
}

// diagQuestion asks for exactly one socket.
func diagQuestion(local, remote netip.AddrPort, state int) []byte {
	family := byte(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	q := make([]byte, 0, unix.NLMSG_HDRLEN+diagRequest)
	q = binary.NativeEndian.AppendUint32(q, unix.NLMSG_HDRLEN+diagRequest)
	q = binary.NativeEndian.AppendUint16(q, diagByFamily)
	q = binary.NativeEndian.AppendUint16(q, unix.NLM_F_REQUEST)
	q = binary.NativeEndian.AppendUint32(q, 1)    // sequence
	q = binary.NativeEndian.AppendUint32(q, 0)    // port, the kernel's
	q = append(q, family, unix.IPPROTO_TCP, 0, 0) // no extensions
	q = binary.NativeEndian.AppendUint32(q, 1<<state)
	q = binary.BigEndian.AppendUint16(q, local.Port())
	q = binary.BigEndian.AppendUint16(q, remote.Port())
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		var field [16]byte
		copy(field[:], a.AsSlice())
		q = append(q, field[:]...)
	}
	q = binary.NativeEndian.AppendUint32(q, 0)             // any interface
	return binary.NativeEndian.AppendUint64(q, ^uint64(0)) // any cookie
}

// diagOwner reads the answer, [Unknown] if it is none.
func diagOwner(answer []byte, state int) int {
	if len(answer) < unix.NLMSG_HDRLEN+diagAnswer || binary.NativeEndian.Uint16(answer[4:]) != diagByFamily {
		return Unknown
	}
	msg := answer[unix.NLMSG_HDRLEN:]
	if int(msg[diagState]) != state {
		return Unknown
	}
	return int(binary.NativeEndian.Uint32(msg[diagUID:]))
}
