package support

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// systemFiles say what the machine is, and what this process may use of it.
var systemFiles = []string{
	"/etc/os-release", "/proc/version", "/proc/uptime", "/proc/loadavg", "/proc/self/status", "/proc/self/limits", "/proc/self/cgroup",
	"/proc/self/mountinfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max", "/etc/resolv.conf",
}

// System writes what is known of the machine and the user.
func System(w io.Writer) {
	fmt.Fprintf(w, "%s/%s, %d processors, user %d, group %d\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), os.Getuid(), os.Getgid())
	for _, path := range systemFiles {
		text, err := readBounded(path)
		if err != nil {
			continue // not every system has each
		}
		fmt.Fprintf(w, "\n== %s\n%s\n", path, strings.TrimSpace(text))
	}
}

// Files writes owner, mode and age of files and folders, and of what is in the folders.
func Files(w io.Writer, paths ...string) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		describe(w, path)
		entries, err := os.ReadDir(path)
		if err != nil {
			continue // it is no folder, or was described as unreadable
		}
		const most = 200
		for i, e := range entries {
			if i == most {
				fmt.Fprintf(w, "  and %d more\n", len(entries)-most)
				break
			}
			describe(w, path+"/"+e.Name())
		}
	}
}

func describe(w io.Writer, path string) {
	info, err := os.Lstat(path)
	if err != nil {
		fmt.Fprintf(w, "%q: %v\n", path, err)
		return
	}
	uid, gid := -1, -1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(stat.Uid), int(stat.Gid)
	}
	fmt.Fprintf(w, "%s %d:%d %9d %s %q\n", info.Mode(), uid, gid, info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05Z"), path)
}

// ReadSecret reads a file that holds a secret: a regular one, of which it takes 256 KiB.
func ReadSecret(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(errors.New("it is no regular file"), err)
	}
	return readBounded(path)
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256<<10))
	return string(text), err
}
