package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// checkStateFile says whether the state files of an instance can be written
// here, and be read by a HAProxy that starts.
func (f *findings) checkStateFile(in config.Instance, backends []config.Backend, pid int) {
	if in.StateFile == "" {
		return // said of each backend
	}
	dir := config.StateFolder(in.StateFile)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(api.VerdictWarn, "the folder of state_file, %s, is not there: slotsync run makes it; until then HAProxy comes up empty", dir)
		return
	case err != nil:
		f.add(api.VerdictFail, "the folder of state_file cannot be used: %v", err)
		return
	case !info.IsDir():
		f.add(api.VerdictFail, "the folder of state_file, %s, is none", dir)
		return
	case syscall.Access(dir, canWrite) != nil:
		f.add(api.VerdictFail, "state files cannot be written to %s by this user: %s", dir, askAgent)
		return
	}
	if reader := whoStarts(pid); reader > 0 {
		for _, b := range backends {
			file := strings.ReplaceAll(in.StateFile, "{backend}", b.Proxy)
			if text := unreadable(file, reader); text != "" {
				f.add(api.VerdictWarn, "%s: HAProxy is started by user %d, who cannot read it: put both into one group", text, reader)
			}
		}
	}
	f.add(api.VerdictOK, "state files go to %s", dir)
}

// whoStarts is the user whose rights a HAProxy has when it reads its files: the
// one of its master, or root, who starts those that then give up their rights.
// Without a master that can be seen it is root.
func whoStarts(pid int) (uid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var parent int
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "PPid:"); ok {
			fmt.Sscan(text, &parent)
		}
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent)); err != nil || strings.TrimSpace(string(comm)) != "haproxy" {
		return 0
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", parent))
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return 0
}

// unreadable returns what is in the way of uid, judged by owner and mode alone,
// or "".
func unreadable(file string, uid int) string {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "" // not written yet
	}
	if err != nil {
		return err.Error()
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == uid || info.Mode().Perm()&0o044 != 0 {
		return ""
	}
	return fmt.Sprintf("%s is %s", file, info.Mode())
}
