package doctor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
)

// judgeWarnings says whether HAProxy, of this pid, lets warnings keep it from starting:
// there is one for each slot that is `disabled` in the configuration and filled by the
// state file, in every version and however the file is written.
func (f *findings) judgeWarnings(in config.Instance, own []slots.Server, pid int) {
	disabled := slices.ContainsFunc(own, func(s slots.Server) bool { return s.Disabled })
	if in.StateFile == "" || !disabled {
		return
	}
	if where := zeroWarning(pid); where != "" {
		f.add(api.VerdictFail, "HAProxy takes no warnings (%s), and there is one for each filled slot in the state file "+
			"(\"is UP/READY (leaving forced maintenance)\"): it would refuse to reload or restart: remove that, or state_file", where)
	}
}

// zeroWarning returns where the HAProxy of this pid was told to end at a warning; "" if it
// was not, or if it cannot be seen from here.
func zeroWarning(pid int) string {
	args, files := runningConfig(pid)
	if slices.Contains(args, "-dW") {
		return "-dW on its command line"
	}
	for _, path := range files {
		text, err := readConfig(path)
		if err != nil {
			continue
		}
		n := 0
		for raw := range bytes.Lines(text) {
			n++
			if words := bytes.Fields(raw); len(words) > 0 && string(words[0]) == "zero-warning" {
				return fmt.Sprintf("zero-warning at %s:%d", path, n)
			}
		}
	}
	return ""
}

// runningConfig returns the arguments of the HAProxy of this pid, and the files of its
// configuration, none if they cannot be seen from here.
func runningConfig(pid int) (args, files []string) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || pid <= 0 {
		return nil, nil
	}
	args = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")[1:]
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		dir = "/"
	}
	return args, configFiles(args, dir)
}

// maxConfig is more than any file of HAProxy's configuration has.
const maxConfig = 64 << 20

// readConfig reads a file that the command line of a process names. Every user can start one
// that is called haproxy, and may name a pipe, or a device that never ends.
func readConfig(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxConfig:
		return nil, fmt.Errorf("%s is no configuration", path)
	}
	return io.ReadAll(io.LimitReader(f, maxConfig))
}

// configFiles lists the files that HAProxy's arguments name, as seen from dir: those after
// -f or --, and of a folder its .cfg (Management Guide, 3, "-f").
func configFiles(args []string, dir string) []string {
	var files []string
	add := func(path string) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			inside, _ := filepath.Glob(filepath.Join(path, "*.cfg"))
			files = append(files, inside...)
			return
		}
		files = append(files, path)
	}
	for i, arg := range args {
		if arg == "--" {
			for _, path := range args[i+1:] {
				add(path)
			}
			break
		}
		if arg == "-f" && i+1 < len(args) {
			add(args[i+1])
		}
	}
	return files
}
