package daemon

import (
	"errors"
	"log/slog"
	"net"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// sockets are what systemd has opened for this process (sd_listen_fds(3)): they last over
// its restarts.
type sockets struct{ tcp, unix net.Listener }

// openedBySystemd returns what a socket unit has handed over.
func openedBySystemd() (s sockets, err error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return s, err
	}
	for _, l := range listeners {
		switch l.(type) {
		case *net.TCPListener:
			err = errors.Join(err, place(&s.tcp, l))
		case *net.UnixListener:
			err = errors.Join(err, place(&s.unix, l))
		default:
			err = errors.Join(err, errors.New("the socket unit has something else than ListenStream= of TCP and of a path"))
		}
	}
	return s, err
}

func place(at *net.Listener, l net.Listener) error {
	if *at != nil {
		return errors.New("the socket unit has more than one ListenStream= of a kind: " + (*at).Addr().String() + " and " + l.Addr().String())
	}
	*at = l
	return nil
}

// instead returns h with the addresses that systemd listens at. Commands go by h: what
// differs is logged.
func (s sockets) instead(h config.HTTP, log *slog.Logger) config.HTTP {
	for _, o := range []struct {
		opened     net.Listener
		configured *string
		key        string
	}{{s.tcp, &h.Listen, "http.listen"}, {s.unix, &h.Socket, "http.socket"}} {
		if o.opened == nil {
			continue
		}
		at := o.opened.Addr().String()
		if !isAt(o.opened.Addr(), *o.configured) {
			log.Warn("the socket unit listens elsewhere than the configuration says: commands do not find it", "key", o.key, "configured", *o.configured, "listens", at)
		}
		*o.configured = at
	}
	return h
}

// isAt reports whether opened is the address that is configured, however that is written: with a
// name for the host, or by a link to the folder.
func isAt(opened net.Addr, configured string) bool {
	at, ok := opened.(*net.TCPAddr)
	if !ok {
		return config.RealPath(opened.String()) == config.RealPath(configured)
	}
	want, err := net.ResolveTCPAddr("tcp", configured)
	every := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	return err == nil && at.Port == want.Port && (at.IP.Equal(want.IP) || every(at.IP) && every(want.IP))
}
