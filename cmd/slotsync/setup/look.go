package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// usualSockets are where distributions and manuals put the Runtime API.
func usualSockets() []string {
	return []string{
		"/run/haproxy/admin.sock", "/run/haproxy/haproxy.sock", "/run/haproxy.sock", "/run/haproxy/api.sock",
		"/var/run/haproxy.sock", "/var/lib/haproxy/stats", "/var/lib/haproxy/haproxy.sock",
	}
}

// askTime bounds what one HAProxy is asked.
const askTime = 5 * time.Second

// findSockets returns the sockets of HAProxys on this machine: those that the configuration
// of a running one names, and those in usual places. Two paths of one socket are one.
func findSockets() []string {
	var found []string
	var infos []os.FileInfo
	for _, path := range append(doctor.RunningSockets(), usualSockets()...) {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&fs.ModeSocket == 0 {
			continue
		}
		if !slices.ContainsFunc(infos, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			infos, found = append(infos, info), append(found, path)
		}
	}
	return found
}

// Look asks the HAProxys at these sockets what they have, one after the other. Several
// sockets of one process are one instance: the first whose level is admin, else the first. The
// error is of those that cannot be asked, and says what to do.
func Look(ctx context.Context, sockets []string) ([]Instance, error) {
	var list []Instance
	var processes []slots.Process
	var errs []error
	for _, socket := range sockets {
		in, process, err := look(ctx, socket)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if i := slices.IndexFunc(processes, process.Same); i >= 0 {
			if in.Level == "admin" && list[i].Level != "admin" {
				list[i] = in
			}
			continue
		}
		list, processes = append(list, in), append(processes, process)
	}
	for i := range list {
		list[i].Name = "haproxy"
		if len(list) > 1 {
			list[i].Name = fmt.Sprintf("haproxy-%d", i+1)
		}
	}
	return list, errors.Join(errs...)
}

func look(ctx context.Context, socket string) (Instance, slots.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	client, err := haproxy.New(haproxy.Options{Socket: socket})
	if err != nil {
		return Instance{}, slots.Process{}, err
	}
	view, err := client.View(ctx, nil, false)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: try it with sudo, or as a member of the socket's group", err)
		}
		return Instance{}, slots.Process{}, err
	}
	level, err := client.Level(ctx)
	if err != nil {
		return Instance{}, slots.Process{}, err
	}
	in := Instance{Socket: socket, Version: view.Process.Version, Level: level}
	loads := doctor.StateFiles(view.Process.Pid)
	in.StateFile = pattern(loads)
	in.Backends = backendsOf(view, func(proxy string) bool { return loads[proxy] != "" })
	return in, view.Process, nil
}

// pattern returns what state_file has to be for these files, by backend: one path for all, or
// a path with {backend} in it; "" if they have no pattern.
func pattern(files map[string]string) string {
	patterns := map[string]bool{}
	for proxy, path := range files {
		if path == "" {
			continue
		}
		if filepath.Base(path) == proxy {
			path = filepath.Join(filepath.Dir(path), "{backend}")
		}
		patterns[path] = true
	}
	if len(patterns) != 1 {
		return ""
	}
	for path := range patterns {
		return path
	}
	return ""
}

// NotFound says that there is no HAProxy to be asked, and how there may be one.
func NotFound() error {
	return fmt.Errorf("no HAProxy found: none runs here whose configuration can be read, and there is no socket at %s: "+
		"name it with --socket; HAProxy opens one with `stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners` in its section global",
		textfmt.List(usualSockets(), 3))
}

// Summary says in a line what an instance has.
func (in Instance) Summary() string {
	n := 0
	for _, b := range in.Backends {
		n += b.Slots
	}
	text := fmt.Sprintf("%s: HAProxy %s, level %s, %s with %s", in.Socket, in.Version, in.Level, textfmt.Count(len(in.Backends), "backend"), textfmt.Count(n, "slot"))
	if in.Level != "admin" {
		text += "; slotsync needs level admin to write: `stats socket … level admin`"
	}
	return strings.TrimSpace(text)
}
