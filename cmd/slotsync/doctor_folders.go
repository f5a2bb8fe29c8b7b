package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slotsync/slotsync/securedir"
)

// examineFolders says in which folders others can change what slotsync reads and writes.
func examineFolders(cfg *config) []finding {
	f := findings{subject: "folders"}
	for _, one := range cfg.folders() {
		if err := one.unsafe(cfg.shared); err != nil {
			f.add(verdictFail, "%v", err)
		} else if everybodys(one.path) {
			f.add(verdictWarn, "%s: every task of the allocation can write to %s", one.key, one.path)
		}
	}
	for _, r := range cfg.reloads {
		if r.template != "" {
			f.suspect("reload.template", folder{path: r.template, file: true}, cfg.shared)
		}
	}
	for _, in := range cfg.instances {
		if filepath.IsAbs(in.real) && everybodys(filepath.Dir(in.real)) {
			f.add(verdictWarn, "the socket of %s: everybody can write to %s, and take HAProxy's place while it is down: have HAProxy make it in a folder of its own",
				in.name, filepath.Dir(in.real))
		}
	}
	return f.list
}

// suspect warns of what is only read.
func (f *findings) suspect(key string, one folder, p securedir.Policy) {
	one.key = key
	if err := one.unsafe(p); err != nil {
		f.add(verdictWarn, "%v", err)
	}
}

// everybodys reports whether everybody can write to a folder.
func everybodys(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && info.Mode()&(0o002|fs.ModeSticky) == 0o002
}
