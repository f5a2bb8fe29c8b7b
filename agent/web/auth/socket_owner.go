package auth

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// This file asks Linux whose a TCP socket of this machine is (sock_diag(7)).

const (
	diagByFamily   = 20 // SOCK_DIAG_BY_FAMILY
	diagRequest    = 56 // struct inet_diag_req_v2
	diagState      = 1  // offsets in struct inet_diag_msg
	diagUID        = 64
	diagAnswer     = 72
	tcpEstablished = 1
)

// socketOwner is the user of the TCP socket at local that is connected to remote, -1 if
// it is not known. Of one that its program has closed nobody is known to be the owner:
// the kernel would say 0.
func socketOwner(local, remote netip.AddrPort) int {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	// The kernel has answered when Sendto returns.
	if err := unix.Sendto(fd, diagQuestion(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return -1
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return -1
	}
	return diagOwner(answer[:n])
}

// diagQuestion asks for exactly one socket.
func diagQuestion(local, remote netip.AddrPort) []byte {
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
	q = binary.NativeEndian.AppendUint32(q, 1<<tcpEstablished)
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

// diagOwner reads the answer, -1 if it is none.
func diagOwner(answer []byte) int {
	if len(answer) < unix.NLMSG_HDRLEN+diagAnswer || binary.NativeEndian.Uint16(answer[4:]) != diagByFamily {
		return -1
	}
	msg := answer[unix.NLMSG_HDRLEN:]
	if msg[diagState] != tcpEstablished {
		return -1
	}
	return int(binary.NativeEndian.Uint32(msg[diagUID:]))
}
