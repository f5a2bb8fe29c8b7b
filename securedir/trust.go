package securedir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// This file says whom a policy trusts.

// An Owner is a user, and the group that goes with it.
type Owner struct{ UID, GID uint32 }

// GivenTo returns the user whom root has given the folder at path to: its owner, where nobody but
// root can have made it. nil: it is root's or this user's, or it is not there, or it may be
// anybody's.
func GivenTo(path string) *Owner {
	w, err := Policy{}.walk(path, 0)
	if err != nil {
		return nil
	}
	defer w.close()
	if trusted := (Policy{}).trusted(w.stat.Uid); trusted {
		return nil
	}
	above, err := Policy{}.Open(filepath.Dir(w.path)) // a sticky one will not do
	if err != nil {
		return nil
	}
	_ = above.Close()
	return &Owner{w.stat.Uid, w.stat.Gid}
}

// trusted reports whether what belongs to uid is as good as our own.
func (p Policy) trusted(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid() || p.Owner != nil && uid == p.Owner.UID
}

// owns reports whether what root makes in a folder of uid is to belong to that user.
func (p Policy) owns(uid uint32) bool {
	return p.Owner != nil && uid == p.Owner.UID && os.Geteuid() == 0
}

// users names those who may own a folder.
func (p Policy) users() string {
	uids := []uint32{0, uint32(os.Geteuid())}
	if p.Owner != nil {
		uids[1] = p.Owner.UID
	}
	var names []string
	for _, uid := range slices.Compact(uids) {
		names = append(names, UserName(uid))
	}
	return strings.Join(names, " or to ")
}

// others says who else may write to what fd is of, which has that mode and group; "" if nobody.
// The group of root, and the one that this process runs as, are no others.
func (p Policy) others(fd int, mode, gid uint32) string {
	switch {
	case mode&0o002 != 0:
		return "everybody"
	case mode&0o020 == 0:
		return "" // which is the mask of an ACL, if there is one
	case !p.ownGroup(gid):
		return "the group " + GroupName(gid)
	}
	return p.listed(fd)
}

func (p Policy) ownGroup(gid uint32) bool {
	return gid == 0 || int(gid) == os.Getegid() || p.Owner != nil && gid == p.Owner.GID
}

// UserName is the name of a user, "user 1000" for one without a name.
func UserName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// GroupName is the name of a group, its number for one without a name.
func GroupName(gid uint32) string {
	id := strconv.Itoa(int(gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

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
