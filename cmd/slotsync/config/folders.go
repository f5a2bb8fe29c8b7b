package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// sharedFolders are those that Nomad makes for all tasks of an allocation: everybody can
// write to them, and they are used nevertheless. Nothing but Nomad sets both variables.
func sharedFolders(env Environment) securedir.Policy {
	alloc := env["NOMAD_ALLOC_DIR"]
	if alloc == "" || env["NOMAD_ALLOC_ID"] == "" || !filepath.IsAbs(alloc) {
		return securedir.Policy{}
	}
	var p securedir.Policy
	for _, root := range []string{alloc, RealPath(alloc)} {
		p.Shared = append(p.Shared, filepath.Clean(root), filepath.Join(root, "data"), filepath.Join(root, "tmp"))
	}
	return p
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
	if cfg.HTTP.Socket != "" {
		add("http.socket", filepath.Dir(cfg.HTTP.Socket), false)
	}
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

// CheckFolders returns an error if others could change what slotsync keeps, or where it
// writes to.
func (cfg *Config) CheckFolders() error {
	var errs []error
	for _, f := range cfg.Folders() {
		errs = append(errs, f.CheckSafe(cfg.FolderPolicy))
	}
	if err := errors.Join(errs...); err != nil {
		return &UsageError{err}
	}
	return nil
}
