package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/slotsync/slotsync/agent/owner"
)

// Paths returns where the configuration is looked for.
func Paths() []string { return []string{"/etc/slotsync/slotsync.yaml", "slotsync.yaml"} }

// Find returns the path of the configuration: named if it is not "", or the first that
// exists, or "". One that cannot be looked at may be there. One that is not in its usual place
// is refused where somebody else wrote it: it says what is run, and to whom a token is shown.
func Find(named string) (string, error) { return find(named, Paths()) }

func find(named string, paths []string) (string, error) {
	if named != "" {
		return named, nil
	}
	for i, path := range paths {
		_, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case i == 0 || err != nil:
			return path, nil
		}
		if err := CheckOwner(path); err != nil {
			return "", Usagef("./%s %w: it is not used unless it is named with --config", path, err)
		}
		return path, nil
	}
	return "", nil
}

// CheckOwner says who else can change the file at path than root and the user of this process;
// nil if nobody can, or it is not there.
func CheckOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // what is wrong with it is said where it is read
	}
	if of, ok := info.Sys().(*syscall.Stat_t); ok && of.Uid != 0 && int(of.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to %s, who is neither root nor the user of this process", owner.Name(int(of.Uid)))
	}
	if info.Mode().Perm()&0o002 != 0 {
		return errors.New("can be written by everybody")
	}
	return nil
}
