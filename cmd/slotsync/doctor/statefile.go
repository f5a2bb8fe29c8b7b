package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
)

// A stateLoad is how HAProxy's configuration says that the state of a backend's servers is
// loaded (Configuration Manual, 3.1 "server-state-base", "server-state-file", 4.2
// "load-server-state-from-file", "server-state-file-name").
type stateLoad struct {
	how  string // "local", "global", "none"; "": nothing is said
	name string // of the file; "": the backend's name
}

// loadingConfig is what the files of a configuration say of it.
type loadingConfig struct {
	base, global string
	backends     map[string]stateLoad
}

// judgeLoading says whether the HAProxy, running as r, reads what is written as its state file,
// as far as its configuration can be read from here.
func (f *findings) judgeLoading(in config.Instance, proxy string, r running) {
	c, ok := r.loading()
	if in.StateFile == "" || !ok {
		return
	}
	ours := strings.ReplaceAll(in.StateFile, "{backend}", proxy)
	switch path, known := c.path(proxy); {
	case !known:
	case path == "":
		f.add(api.VerdictFail, "HAProxy does not load the state file of %s: write `load-server-state-from-file local` and `server-state-file-name %s` "+
			"into the backend, or leave state_file out", proxy, ours)
	case config.RealPath(path) != config.RealPath(ours):
		f.add(api.VerdictFail, "HAProxy loads the state of %s from %s, and state_file writes %s: after a restart its slots would be empty: name one file", proxy, path, ours)
	default:
		f.add(api.VerdictOK, "HAProxy loads %s at its start", path)
	}
}

// loading is what its files say of it; not ok if they cannot be read as a whole: what is
// missing may say it.
func (r running) loading() (c loadingConfig, ok bool) {
	c.backends = map[string]stateLoad{}
	c.read(r.sections)
	return c, r.whole && len(r.sections) > 0
}

// path is the file that the state of a backend is loaded from, "" if it is from none. It is
// not known where the backend is not in the files, or its name is made of variables.
func (c loadingConfig) path(proxy string) (path string, known bool) {
	l, known := c.backends[proxy]
	switch l.how {
	case "local":
		if path = l.name; path == "" || path == "use-backend-name" {
			path = proxy
		}
	case "global":
		path = c.global
	default:
		return "", known
	}
	if path == "" {
		return "", known
	}
	if !filepath.IsAbs(path) && c.base != "" {
		path = c.base + "/" + path
	}
	return path, known && filepath.IsAbs(path) && !strings.ContainsAny(path, "$\"'\\")
}

// read takes what the files say.
func (c *loadingConfig) read(sections []section) {
	for _, s := range sections {
		var l stateLoad
		for _, d := range s.lines {
			switch arg := d.arg(1); d.words[0] {
			case "server-state-base":
				c.base = arg
			case "server-state-file":
				c.global = arg
			case "load-server-state-from-file":
				l.how = arg
			case "server-state-file-name":
				l.name = arg
			}
		}
		if s.kind == "backend" || s.kind == "listen" {
			c.backends[s.name] = l
		}
	}
}

// StateFiles returns where the HAProxy of this pid loads the state of its backends from, by
// their names: "" for those without, and none where its configuration cannot be read.
func StateFiles(pid int) map[string]string {
	c, ok := runningAs(pid).loading()
	list := map[string]string{}
	for proxy := range c.backends {
		if path, known := c.path(proxy); ok && known {
			list[proxy] = path
		}
	}
	return list
}

// judgeWarnings says whether HAProxy, running as r, lets warnings keep it from starting:
// there is one for each slot that is `disabled` in the configuration and filled by the
// state file, in every version and however the file is written.
func (f *findings) judgeWarnings(in config.Instance, own []slots.Server, r running) {
	disabled := slices.ContainsFunc(own, func(s slots.Server) bool { return s.Disabled })
	if in.StateFile == "" || !disabled {
		return
	}
	if where := r.zeroWarning(); where != "" {
		f.add(api.VerdictFail, "HAProxy takes no warnings (%s), and there is one for each filled slot in the state file "+
			"(\"is UP/READY (leaving forced maintenance)\"): it would refuse to reload or restart: remove that, or state_file", where)
	}
}

// zeroWarning returns where the HAProxy was told to end at a warning; "" if it was not, or if
// it cannot be seen from here.
func (r running) zeroWarning() string {
	if slices.Contains(r.args, "-dW") {
		return "-dW on its command line"
	}
	for d := range r.global() {
		if d.words[0] == "zero-warning" {
			return fmt.Sprintf("zero-warning at %s:%d", d.file, d.line)
		}
	}
	return ""
}

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
