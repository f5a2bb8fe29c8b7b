package securedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// given makes a folder that root has given to nobody.
func given(t *testing.T, parent fs.FileMode) string {
	t.Helper()
	path := made(t, made(t, t.TempDir(), "root's", parent), "theirs", 0o750)
	must(t, os.Chown(path, nobody, nobody))
	return path
}

// Root has given a folder to its owner where nobody else can have made it.
func TestGivenTo(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	if o := GivenTo(given(t, 0o755)); o == nil || *o != (Owner{nobody, nobody}) {
		t.Errorf("got %v", o)
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(given(t, 0o755), link))
	if o := GivenTo(link); o == nil || o.UID != nobody {
		t.Errorf("by a link: %v", o)
	}
	for name, path := range map[string]string{
		"in a sticky folder": given(t, 0o777|fs.ModeSticky), "in everybody's": given(t, 0o777), "root's own": t.TempDir(), "none": "/none/at/all", "no path": "",
		"below it": made(t, given(t, 0o755), "below", 0o700),
	} {
		if o := GivenTo(path); o != nil {
			t.Errorf("%s: %v", name, *o)
		}
	}
}

// What root makes in another user's folder is that user's, and what is there is believed if it
// is that user's or root's.
func TestOwner(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	path := given(t, 0o755)
	if _, err := (Policy{}).Open(path); !errors.Is(err, ErrUnsafe) {
		t.Errorf("without: %v", err)
	}
	policy := Policy{Owner: GivenTo(path)}
	below, err := policy.Make(filepath.Join(path, "a", "b"), 0o750)
	must(t, err)
	below.Close()
	d, err := policy.Open(path)
	must(t, err)
	defer d.Close()
	must(t, d.Replace("replaced", []byte("x"), Private(), nil), d.Append("appended", []byte("x\n"), 0o640))
	put, err := d.Put(".put", "put", []byte("x"), Private())
	must(t, err)
	put.Close()
	lock, err := d.Lock("lock")
	must(t, err, Unlock(lock))
	for _, name := range []string{"a", "a/b", "replaced", "appended", "put", "lock"} {
		info, err := os.Stat(filepath.Join(path, name))
		must(t, err)
		if st := info.Sys().(*syscall.Stat_t); st.Uid != nobody || st.Gid != nobody || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s is %d:%d %v", name, st.Uid, st.Gid, info.Mode())
		}
	}
	if _, _, err := d.ReadOwn("replaced", 10); err != nil {
		t.Error(err)
	}
	must(t, os.Chown(filepath.Join(path, "replaced"), 12345, 12345))
	if _, _, err := d.ReadOwn("replaced", 10); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a third user's: %v", err)
	}
}

// A second name that the owner has given a file of root's is neither read nor written to.
func TestOwnersSecondName(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	path := given(t, 0o755)
	victim := filepath.Join(filepath.Dir(path), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600), os.Link(victim, filepath.Join(path, "f")))
	d, err := Policy{Owner: GivenTo(path)}.Open(path)
	must(t, err)
	defer d.Close()
	_, _, read := d.ReadOwn("f", 100)
	_, locked := d.Lock("f")
	for does, err := range map[string]error{"read": read, "lock": locked, "append": d.Append("f", []byte("x"), 0o600)} {
		if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "another name") {
			t.Errorf("%s: %v", does, err)
		}
	}
	text, err := os.ReadFile(victim)
	must(t, err)
	if string(text) != "precious" {
		t.Errorf("it is %q now", text)
	}
}

// TestOwnersLinks: root follows no link that the owner of a folder made, as it could lead anywhere by then.
func TestOwnersLinks(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives files to another user")
	path := given(t, 0o755)
	roots := filepath.Join(filepath.Dir(path), "roots")
	uid, gid := int(GivenTo(path).UID), int(GivenTo(path).GID)
	must(t, os.Mkdir(roots, 0o755), os.Symlink(roots, filepath.Join(path, "folder")), os.Symlink(filepath.Join(roots, "f"), filepath.Join(path, "f")))
	for _, name := range []string{"folder", "f"} {
		must(t, os.Lchown(filepath.Join(path, name), uid, gid))
	}
	// one of root's, in a folder of root's, is followed
	must(t, os.Symlink(path, filepath.Join(filepath.Dir(path), "to-it")))
	p := Policy{Owner: GivenTo(path)}
	for does, try := range map[string]func() (*Dir, error){
		"make":    func() (*Dir, error) { return p.Make(filepath.Join(path, "folder", "below"), 0o700) },
		"open":    func() (*Dir, error) { return p.Open(filepath.Join(path, "folder")) },
		"locate":  func() (*Dir, error) { d, _, err := p.Locate(filepath.Join(path, "f")); return d, err },
		"through": func() (*Dir, error) { return p.Open(filepath.Join(filepath.Dir(path), "to-it", "folder")) },
	} {
		if d, err := try(); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v, %v", does, d, err)
		}
	}
	d, err := p.Open(filepath.Join(filepath.Dir(path), "to-it"))
	must(t, err)
	must(t, d.Close())
}

// withACL gives a file an ACL in which that user or group may write; mask is what it leaves of that.
func withACL(t *testing.T, path string, tag, id, mask uint16) {
	t.Helper()
	acl := []byte{2, 0, 0, 0} // version
	entry := func(tag, may uint16, id uint32) {
		acl = append(acl, byte(tag), byte(tag>>8), byte(may), 0, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
	}
	none := ^uint32(0)
	entry(0x01, 7, none) // the owner
	if tag == aclUser {
		entry(tag, 7, uint32(id))
	}
	entry(0x04, 5, none) // the group
	if tag == aclGroup {
		entry(tag, 7, uint32(id))
	}
	entry(0x10, mask, none)
	entry(0x20, 5, none) // everybody
	err := unix.Setxattr(path, aclName, acl, 0)
	if errors.Is(err, unix.ENOTSUP) && os.Getenv("CI") == "" {
		t.Skip("there are no ACLs on this file system")
	}
	must(t, err)
}

// Whom an ACL lets write is another one, too, which the mode does not say.
func TestACL(t *testing.T) {
	for _, c := range []struct {
		name          string
		tag, id, mask uint16
		want          string
	}{
		{"another user", aclUser, nobody, 7, "nobody, whom its ACL names"},
		{"another group", aclGroup, nobody, 7, "which its ACL names"},
		{"another user, masked", aclUser, nobody, 5, ""},
		{"root", aclUser, 0, 7, ""},
		{"root's group", aclGroup, 0, 7, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			folder, file := made(t, path, "d", 0o755), filepath.Join(path, "f")
			must(t, os.WriteFile(file, nil, 0o600))
			withACL(t, folder, c.tag, c.id, c.mask)
			withACL(t, file, c.tag, c.id, c.mask)
			d, err := Policy{}.Open(path)
			must(t, err)
			defer d.Close()
			_, _, read := d.ReadOwn("f", 10)
			for what, err := range map[string]error{"folder": Policy{}.Check(folder), "file": read} {
				if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s: %v, want %q", what, err, c.want)
				}
			}
		})
	}
}
