package doctor

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// A running is what can be seen from here of how a HAProxy was started.
type running struct {
	args     []string
	sections []section
	whole    bool // all files could be read
}

// runningAs reads the configuration of the HAProxy of this pid.
func runningAs(pid int) (r running) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || pid <= 0 {
		return r
	}
	r.args = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")[1:]
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		dir = "/"
	}
	r.whole = true
	var files []ConfigFile
	for _, path := range configFiles(r.args, dir) {
		text, err := readConfig(path)
		if err != nil {
			r.whole = false
			continue
		}
		files = append(files, ConfigFile{path, text})
	}
	r.sections = readSections(files...)
	return r
}

// global yields what stands in global sections.
func (r running) global() iter.Seq[directive] {
	return func(yield func(directive) bool) {
		for _, s := range r.sections {
			for _, d := range s.lines {
				if s.kind == "global" && !yield(d) {
					return
				}
			}
		}
	}
}

// RunningSockets returns the unix sockets of the Runtime API that the HAProxys of this
// machine name in their configuration, as far as it can be read.
func RunningSockets() []string {
	var list []string
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, name := range names {
		if comm, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(comm)) != "haproxy" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		for d := range runningAs(pid).global() {
			path := strings.TrimPrefix(strings.Trim(d.arg(2), `"'`), "unix@")
			if d.words[0] == "stats" && d.arg(1) == "socket" && filepath.IsAbs(path) && !slices.Contains(list, path) {
				list = append(list, path)
			}
		}
	}
	return list
}

// maxConfig is more than any file of HAProxy's configuration has.
const maxConfig = 64 << 20

// readConfig reads a file that the command line of a process names. Every user can start one
// that is called haproxy, and may name a pipe, or a device that never ends.
func readConfig(path string) ([]byte, error) { return securedir.ReadFile(path, maxConfig, 0) }

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
