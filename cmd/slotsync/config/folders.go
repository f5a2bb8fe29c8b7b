package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// emptyDir is in the path of every volume of that kind, where Kubernetes keeps it.
const emptyDir = "/volumes/kubernetes.io~empty-dir/"

// sharedFolders are those that everybody can write to and that are used nevertheless: what
// Nomad makes for all tasks of an allocation (nothing but Nomad sets both variables), and
// what Kubernetes makes for all containers of a pod, by what is mounted.
func sharedFolders(env Environment, mountinfo string) securedir.Policy {
	var p securedir.Policy
	if alloc := env["NOMAD_ALLOC_DIR"]; filepath.IsAbs(alloc) && env["NOMAD_ALLOC_ID"] != "" {
		for _, root := range []string{alloc, RealPath(alloc)} {
			p.Shared = append(p.Shared, filepath.Clean(root), filepath.Join(root, "data"), filepath.Join(root, "tmp"))
		}
	}
	for _, m := range securedir.ParseMounts(mountinfo) {
		if _, name, found := strings.Cut(m.Root, emptyDir); found && name != "" && !strings.Contains(name, "/") {
			p.Shared = append(p.Shared, m.Point)
		}
	}
	return p
}

// Owner is the user whom root has given state_dir to, where that is not this one: the agent's. Where no
// state is kept, the folder of http.socket says it. nil: there is none.
func (cfg *Config) Owner() *securedir.Owner {
	switch {
	case cfg.StateDir != "":
		return securedir.GivenTo(cfg.StateDir)
	case cfg.HTTP.Socket != "":
		return securedir.GivenTo(filepath.Dir(cfg.HTTP.Socket))
	}
	return nil
}

// SocketOwner is the user and group that http.socket belongs to where root makes it for the agent:
// that user could not remove another one. 0: it is the process's own.
func (cfg *Config) SocketOwner() (uid, gid int) {
	o := cfg.FolderPolicy.Owner
	if at := securedir.GivenTo(filepath.Dir(cfg.HTTP.Socket)); o == nil || at == nil || at.UID != o.UID {
		return 0, 0
	}
	return int(o.UID), int(o.GID)
}

// ReloadPolicy says which folders are good enough for a reload: for root, the agent's only where
// that user may replace the file as well. Else what it has kept there would become root's.
func (cfg *Config) ReloadPolicy(r Reload) securedir.Policy {
	p := cfg.FolderPolicy
	if p.Owner == nil {
		return p
	}
	dir, _, err := p.Locate(r.File)
	if err == nil {
		defer dir.Close()
	}
	if err != nil || dir.UID() != p.Owner.UID {
		p.Owner = nil
	}
	return p
}

func privateFolder(env Environment) string {
	if secrets := env["NOMAD_SECRETS_DIR"]; filepath.IsAbs(secrets) && env["NOMAD_ALLOC_ID"] != "" {
		return filepath.Clean(secrets)
	}
	return ""
}

// readMounts returns what is mounted in this process's name space; "" if it cannot be told.
func readMounts() string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return string(text)
}

// A Folder is one that files are made or replaced in.
type Folder struct {
	Key, Path string
	// File: path is the one of a file, which may be a link.
	File bool
}

// Folders lists the folders that files are made or replaced in.
func (cfg *Config) Folders() []Folder {
	var list []Folder
	add := func(key, path string, file bool) {
		if path != "" {
			list = append(list, Folder{key, path, file})
		}
	}
	add("state_dir", cfg.StateDir, false)
	if cfg.SlotMap != "" {
		add("slot_map", filepath.Dir(cfg.SlotMap), false)
	}
	if cfg.HTTP.Socket != "" {
		add("http.socket", filepath.Dir(cfg.HTTP.Socket), false)
	}
	add("http.audit", cfg.HTTP.Audit, true)
	for _, in := range cfg.Instances {
		if in.StateFile != "" {
			add("state_file of "+in.Name, StateFolder(in.StateFile), false)
		}
	}
	for _, r := range cfg.Reloads {
		if r.Template == "" {
			continue // it is somebody else's, and judged when it is edited
		}
		add("reload.file", r.File, true)
	}
	return list
}

// StateFolder returns the folder of a pattern of state files, as far as it is known.
func StateFolder(pattern string) string {
	before, _, _ := strings.Cut(pattern, "{backend}")
	return filepath.Dir(before + "x")
}

// CheckSafe says why files may not be made there; nil if they may, or if it cannot be told.
func (f Folder) CheckSafe(p securedir.Policy) error {
	if err := f.check(p); errors.Is(err, securedir.ErrUnsafe) {
		return fmt.Errorf("%s: %w", f.Key, err)
	}
	return nil // what else is wrong is said where it is used
}

func (f Folder) check(p securedir.Policy) error {
	if !f.File {
		return p.Check(f.Path)
	}
	dir, _, err := p.Locate(f.Path)
	if err != nil {
		return err
	}
	return dir.Close()
}

// stateFolderMode is what a folder of state files is made with: HAProxy reads them as root,
// or as a member of slotsync's group.
const stateFolderMode = 0o750

// PrepareFolders returns an error if others could change what slotsync keeps, or where it
// writes to. It makes the folders of state files that lack: without them HAProxy would come
// up empty at its next reload.
func (cfg *Config) PrepareFolders() error {
	var errs []error
	for _, f := range cfg.Folders() {
		errs = append(errs, f.CheckSafe(cfg.FolderPolicy))
	}
	if err := errors.Join(errs...); err != nil {
		return &UsageError{err}
	}
	for _, in := range cfg.Instances {
		errs = append(errs, makeStateFolder(in, cfg.FolderPolicy))
	}
	if err := errors.Join(errs...); err != nil {
		return &UsageError{err}
	}
	return nil
}

func makeStateFolder(in Instance, p securedir.Policy) error {
	folder := StateFolder(in.StateFile)
	if _, err := os.Stat(folder); in.StateFile == "" || err == nil {
		return nil // one that cannot be written to is told of by whoever writes
	}
	dir, err := p.Make(folder, stateFolderMode)
	if err != nil {
		return fmt.Errorf("state_file of %s: %s cannot be made: %w: make it, or name a folder that this user can write to", in.Name, folder, err)
	}
	return dir.Close()
}
