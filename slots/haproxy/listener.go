package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// dial connects to what listens there. In a folder where every user can put a socket the
// peer has to be one that may be HAProxy: see [checkPeer].
func (a address) dial(ctx context.Context, d *net.Dialer) (net.Conn, error) {
	if a.network != "unix" {
		return d.DialContext(ctx, a.network, a.addr)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: a.addr, Net: "unix"})
	if err != nil || !worldWritable(filepath.Dir(a.addr)) {
		return conn, err
	}
	if err := checkPeer(conn, a.addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// worldWritable reports whether every user can make files in a folder.
func worldWritable(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o002 != 0
}

// errUnknownPeer says that the program that listens may be of any user.
var errUnknownPeer = errors.New("and may be anybody")

// checkPeer returns an error unless the program that listens runs as root, as this user, or
// as the owner of the folder.
func checkPeer(conn *net.UnixConn, path string) error {
	uid, dir := peerAt(conn).uid, filepath.Dir(path)
	if uid == 0 || uid == os.Geteuid() || uid >= 0 && uid == ownerOf(dir) {
		return nil
	}
	return fmt.Errorf("user %d listens there, %w, since everybody can write to %s: have HAProxy make its socket in a folder of its own", uid, errUnknownPeer, dir)
}
