package securedir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Replace puts text in place of name in one step that survives a loss of power. still, if
// there is one, is asked when all is ready, right before that step; an error of it leaves
// everything as it was.
func (d *Dir) Replace(name string, text []byte, like Attributes, still func() error) error {
	f, temp, err := d.temporary(name, text, like)
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if err == nil && still != nil {
		err = still()
	}
	if err == nil {
		err = d.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, d.Remove(temp))
	}
	return d.Sync()
}

// Put puts text in place of name in one step and does not wait for the disk. The file that
// it returns is the one that was written: after its Sync and the folder's the file survives
// a loss of power, too. temp is the name that it has until then; what is there is removed.
func (d *Dir) Put(temp, name string, text []byte, like Attributes) (*os.File, error) {
	if err := d.Remove(temp); err != nil {
		return nil, err
	}
	f, err := d.create(temp, text, like)
	if err != nil {
		return nil, err
	}
	if err := d.Rename(temp, name); err != nil {
		return nil, errors.Join(err, f.Close(), d.Remove(temp))
	}
	return f, nil
}

// temporary makes a file beside name with a name of its own: "." before it and a number
// behind it.
func (d *Dir) temporary(name string, text []byte, like Attributes) (f *os.File, temp string, err error) {
	for range 100 {
		temp = "." + name + strconv.FormatUint(rand.Uint64(), 10)
		if f, err = d.create(temp, text, like); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, temp, err
}

// create makes a new file; one that exists, a symbolic link too, is an error.
func (d *Dir) create(name string, text []byte, like Attributes) (*os.File, error) {
	f, err := d.openat(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = give(f, d.attributes(like)); err == nil {
		_, err = f.Write(text)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), d.Remove(name))
	}
	return f, nil
}

// give sets owner and mode; the owner only if it is another, since only root may.
func give(f *os.File, like Attributes) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && like.UID >= 0 && (like.UID != int(stat.Uid) || like.GID != int(stat.Gid)) {
		if err := f.Chown(like.UID, like.GID); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	return f.Chmod(like.Mode)
}

// Try makes a file as Replace does, and removes it.
func (d *Dir) Try(name string, like Attributes) error {
	f, temp, err := d.temporary(name, nil, like)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), d.Remove(temp))
}
