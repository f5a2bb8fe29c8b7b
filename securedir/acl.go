package securedir

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// An ACL as the kernel hands it out (linux/posix_acl_xattr.h): a version, then entries of a tag,
// permissions and whom they are for.
const (
	aclName    = "system.posix_acl_access"
	aclHeader  = 4
	aclEntry   = 8
	aclUser    = 0x02
	aclGroup   = 0x08
	aclMayEdit = 0x02
)

// listed says which user or group may write by the ACL of what fd is of, where that is open to
// its group; "" if none but ourselves, or if there is no ACL.
func (p Policy) listed(fd int) string {
	acl, err := readACL(fd)
	if err != nil {
		return fmt.Sprintf("whom its ACL names, which cannot be read (%v)", err)
	}
	for at := aclHeader; at+aclEntry <= len(acl); at += aclEntry {
		tag, may := binary.LittleEndian.Uint16(acl[at:]), binary.LittleEndian.Uint16(acl[at+2:])
		id := binary.LittleEndian.Uint32(acl[at+4:])
		switch {
		case may&aclMayEdit == 0:
		case tag == aclUser && !p.trusted(id):
			return UserName(id) + ", whom its ACL names"
		case tag == aclGroup && !p.ownGroup(id):
			return "the group " + GroupName(id) + ", which its ACL names"
		}
	}
	return ""
}

// readACL returns nil where there is none.
func readACL(fd int) ([]byte, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", fd) // what is open without the right to read has no other name
	acl := make([]byte, 1<<16)                  // more no attribute has (xattr(7))
	n, err := unix.Getxattr(path, aclName, acl)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return acl[:n], nil
}
