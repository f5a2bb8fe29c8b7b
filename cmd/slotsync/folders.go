package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// sharedFolders are those that Nomad makes for all tasks of an allocation: everybody can
// write to them, and they are used nevertheless. Nothing but Nomad sets both variables.
func sharedFolders(env environment) securedir.Policy {
	alloc := env["NOMAD_ALLOC_DIR"]
	if alloc == "" || env["NOMAD_ALLOC_ID"] == "" || !filepath.IsAbs(alloc) {
		return securedir.Policy{}
	}
	var p securedir.Policy
	for _, root := range []string{alloc, realPath(alloc)} {
		p.Shared = append(p.Shared, filepath.Clean(root), filepath.Join(root, "data"), filepath.Join(root, "tmp"))
	}
	return p
}

// A folder is one that files are made or replaced in.
type folder struct {
	key, path string
	// file: path is the one of a file, which may be a link.
	file bool
}

// folders lists them.
func (cfg *config) folders() []folder {
	var list []folder
	add := func(key, path string, file bool) {
		if path != "" {
			list = append(list, folder{key, path, file})
		}
	}
	add("state_dir", cfg.stateDir, false)
	if cfg.http.socket != "" {
		add("http.socket", filepath.Dir(cfg.http.socket), false)
	}
	for _, in := range cfg.instances {
		if in.stateFile != "" {
			add("state_file of "+in.name, stateFolder(in.stateFile), false)
		}
	}
	for _, r := range cfg.reloads {
		if r.template == "" {
			continue // it is somebody else's, and judged when it is edited
		}
		add("reload.file", r.file, true)
	}
	return list
}

// stateFolder is the folder of a pattern of state files, as far as it is known.
func stateFolder(pattern string) string {
	before, _, _ := strings.Cut(pattern, "{backend}")
	return filepath.Dir(before + "x")
}

// unsafe says why files may not be made there; nil if they may, or if it cannot be told.
func (f folder) unsafe(p securedir.Policy) error {
	if err := f.check(p); errors.Is(err, securedir.ErrUnsafe) {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	return nil // what else is wrong is said where it is used
}

func (f folder) check(p securedir.Policy) error {
	if !f.file {
		return p.Check(f.path)
	}
	dir, _, err := p.Locate(f.path)
	if err != nil {
		return err
	}
	return dir.Close()
}

// refuseUnsafe returns an error if others could change what slotsync keeps, or where it
// writes to.
func (cfg *config) refuseUnsafe() error {
	var errs []error
	for _, f := range cfg.folders() {
		errs = append(errs, f.unsafe(cfg.shared))
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err}
	}
	return nil
}
